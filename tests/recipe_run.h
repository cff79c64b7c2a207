/* Runs a recipe's training, which may stop after some steps and go on. Needs support.h before it;
   the context is the test's to make, with akin_context_on_interrupt(context, &interrupt). */
#ifndef AK_TESTS_RECIPE_RUN_H
#define AK_TESTS_RECIPE_RUN_H

#include "assert_ok.h"
#include "train/recipe.h"

static akin_context *context;
static volatile int interrupt;

/* How a run goes on or stops; all members may be 0. */
typedef struct plan {
    const char *checkpoint;
    bool resume;
    int64_t steps; /* interrupted after so many */
} plan;

static void stop_after(void *user, akin_training *training)
{
    const plan *p = user;
    interrupt = p->steps && akin_training_step(training) == p->steps;
}

static akin_status train(akin_model **model, const char *recipe_path, plan how,
                         akin_fit_summary *summary, akin_error *error)
{
    akin_recipe *recipe;
    akin_loader *loader, *validation;
    *model = NULL;
    AK_TRY(akin_recipe_open(&recipe, context, recipe_path, NULL, 0, error));
    akin_trainable trainable = akin_recipe_trainable(recipe);
    akin_trainer trainer = akin_recipe_trainer(recipe);
    trainer.checkpoint = how.checkpoint;
    trainer.resume = how.resume;
    interrupt = 0;
    const akin_callback stopper = {.size = sizeof stopper, .user = &how, .on_step_end = stop_after};
    assert_ok(akin_trainer_add_callback(&trainer, stopper, told));
    akin_status status = akin_recipe_loaders(recipe, &loader, &validation, error);
    if (!status)
        status = akin_fit(model, context, &trainable, &trainer, loader, validation, summary, error);
    akin_recipe_free(recipe);
    return status;
}

#endif
