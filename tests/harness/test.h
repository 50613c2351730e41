/* What every test includes: cmocka and where things lie. */
#ifndef PARE_TEST_H
#define PARE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pare/status.h"

/* The folder of shared models and data (PARE_SHARED, else ../shared beside the
 * sources), or NULL with a message on stderr: the caller then skips. */
const char *test_shared(void);
/* `test_shared()` joined with a relative path; static buffer of four. */
const char *test_shared_path(const char *relative);
/* A fresh folder for files of this test, removed at exit. */
const char *test_folder(void);
/* `test_folder()` joined with a name; static buffer of four. */
const char *test_path(const char *name);

/* Asserts PARE_OK, printing the message otherwise. */
#define assert_ok(expression, error_pointer) test_assert_ok((expression), (error_pointer), __FILE__, __LINE__)
void test_assert_ok(pare_status status, const pare_error *error, const char *file, int line);
/* Asserts this status and that the message contains `text`. */
#define assert_fails(expression, expected, error_pointer, text)                                                        \
    test_assert_fails((expression), (expected), (error_pointer), (text), __FILE__, __LINE__)
void test_assert_fails(pare_status status, pare_status expected, const pare_error *error, const char *text,
                       const char *file, int line);

#endif
