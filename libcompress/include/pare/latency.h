/* Times a model on this machine. */
#ifndef PARE_LATENCY_H
#define PARE_LATENCY_H

#include "pare/model.h"
#include "pare/runtime.h"

/* A session fed with seeded noise, ready to be timed again and again. */
typedef struct pare_latency_probe pare_latency_probe;

/* `options`: batch, threads and isa. `session_ms` receives the time of planning and packing. */
pare_status pare_latency_open(pare_model *model, const pare_session_options *options, pare_latency_probe **probe,
                              double *session_ms, pare_error *error);
void pare_latency_close(pare_latency_probe *probe);
/* One run, in milliseconds. */
pare_status pare_latency_measure(pare_latency_probe *probe, double *milliseconds, pare_error *error);
pare_session *pare_latency_session(pare_latency_probe *probe);

double pare_milliseconds_now(void);
/* Sorts in place. `q` from 0 to 1. */
double pare_quantile(double *values, size_t count, double q);

#endif
