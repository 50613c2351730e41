/* Times a model on this machine. */
#ifndef PARE_LATENCY_H
#define PARE_LATENCY_H

#include "pare/model.h"
#include "pare/runtime.h"

/* A session fed with seeded noise, ready to be timed again and again. */
typedef struct latency_probe latency_probe;

/* `options`: batch, threads and isa. `session_ms` receives the time of planning and packing. */
pare_status latency_open(pare_model *model, const pare_session_options *options, latency_probe **probe,
                         double *session_ms, pare_error *error);
void latency_close(latency_probe *probe);
/* One run, in milliseconds. */
pare_status latency_measure(latency_probe *probe, double *milliseconds, pare_error *error);
pare_session *latency_session(latency_probe *probe);

double milliseconds_now(void);
/* Sorts in place. `q` from 0 to 1. */
double quantile_of(double *values, size_t count, double q);

#endif
