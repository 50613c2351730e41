/* Numbers as people read them, and results as JSON. */
#ifndef PARE_REPORT_H
#define PARE_REPORT_H

#include <jansson.h>

#include "pare/metrics.h"

/* "1,101,001 bytes (1.05 MiB)"; static buffers of eight. */
const char *size_text(size_t bytes);
/* "1,101,001"; static buffers of eight. */
const char *count_text(uint64_t count);
/* "91.73 %"; static buffers of eight. */
const char *percent_text(double fraction);
/* "[91.17, 92.26] %" */
const char *percent_interval_text(pare_interval interval);

/* Text of a file or a command line as a terminal may have it: what steers
 * terminals becomes '?'. At most `most` bytes, below 4,160; static buffers of eight. */
const char *shown(const char *text, size_t most);
/* The same for JSON, which takes any character but no malformed UTF-8. */
const char *json_text(const char *text);

/* Prints the metrics of a task for people. */
void print_metrics(const pare_metrics *metrics, bool verbose);
/* The same without the classes one by one. */
void print_metrics_summary(const pare_metrics *metrics);
void print_comparison(const pare_metrics *metrics, const pare_comparison *comparison, const char *against);

/* Adds the metrics' fields to a JSON object; false when out of memory. */
bool json_add_metrics(json_t *object, const pare_metrics *metrics);
bool json_add_comparison(json_t *object, const pare_comparison *comparison);
/* A number, or null where it is NaN. */
json_t *json_number(double value);
json_t *json_interval(pare_interval interval);

/* Writes `object` to --json (if asked for) and drops the reference. */
pare_status write_json(json_t *object, pare_error *error);

#endif
