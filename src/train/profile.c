/* Where a run's time goes: each stage says when it begins, and the time until the next one begins
   is its own, so that all of it adds up to the run. */
#include "train/train.h"

ak_stage ak_enter(akin_training *t, ak_stage stage)
{
    ak_profile *p = &t->profile;
    ak_stage before = p->stage;
    if (!t->trainer.profile)
        return before;
    double now = ak_seconds();
    p->seconds[before] += now - p->since;
    p->stage = stage;
    p->since = now;
    return before;
}

void ak_tell_profile(akin_training *t)
{
    static const char *const names[AK_STAGES] = {
        "preparation",    "waiting for data",   "encoders",  "head",       "loss",
        "head, backward", "encoders, backward", "optimizer", "validation", "checkpoint",
        "other"};
    ak_text text = {0};
    double total = 0;
    if (!t->trainer.profile || !t->step)
        return;
    ak_enter(t, AK_STAGE_OTHER);
    for (int i = 0; i < AK_STAGES; i++)
        total += t->profile.seconds[i];
    ak_text_printf(&text, "%-20s %10s %7s %12s\n", "stage", "seconds", "part", "ms a step");
    for (int i = 0; i < AK_STAGES; i++) {
        double seconds = t->profile.seconds[i];
        ak_text_printf(&text, "%-20s %10.3f %6.1f%%", names[i], seconds,
                       total > 0 ? 100 * seconds / total : 0);
        if (i == AK_STAGE_PREPARATION || !t->step)
            ak_text_printf(&text, "\n");
        else
            ak_text_printf(&text, " %12.3f\n", 1e3 * seconds / (double)t->step);
    }
    if (!text.failed)
        ak_message(t->context, AKIN_MESSAGE_TABLE, text.data);
    ak_free(text.data);
}
