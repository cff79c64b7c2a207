/* assert_ok(call(..., told)): the call gives its error to `told`, which a failure shows. */
#ifndef AK_TESTS_ASSERT_OK_H
#define AK_TESTS_ASSERT_OK_H

#define assert_ok(expression)                                                                      \
    do {                                                                                           \
        akin_error error_ = {0};                                                                   \
        akin_error *told = &error_;                                                                \
        if ((expression) != AKIN_OK)                                                               \
            fail_msg("%s: %s", #expression, error_.message);                                       \
    } while (0)

#endif
