/* The door of loss: embeddings and labels in, one number and its gradient out. */
#ifndef AK_LOSS_LOSS_H
#define AK_LOSS_LOSS_H

#include "kernels/kernels.h"
#include "nn/nn.h"

extern const akin_loss_class ak_loss_arcface;
extern const akin_loss_class ak_loss_center;
extern const akin_loss_class ak_loss_circle;
extern const akin_loss_class ak_loss_contrastive;
extern const akin_loss_class ak_loss_cosent;
extern const akin_loss_class ak_loss_cosface;
extern const akin_loss_class ak_loss_cosine_similarity;
extern const akin_loss_class ak_loss_fastap;
extern const akin_loss_class ak_loss_kl;
extern const akin_loss_class ak_loss_margin_mse;
extern const akin_loss_class ak_loss_matryoshka;
extern const akin_loss_class ak_loss_mse;
extern const akin_loss_class ak_loss_multi_similarity;
extern const akin_loss_class ak_loss_multiple_negatives_ranking;
extern const akin_loss_class ak_loss_online_contrastive;
extern const akin_loss_class ak_loss_proxy_anchor;
extern const akin_loss_class ak_loss_softmax;
extern const akin_loss_class ak_loss_sum;
extern const akin_loss_class ak_loss_supcon;
extern const akin_loss_class ak_loss_triplet;
extern const akin_loss_class ak_loss_xbm;

/* The class's traits, as its options change them; refuses options that do not go together. */
akin_status ak_loss_describe(const akin_loss_class *type, const void *options,
                             akin_loss_traits *traits, akin_error *error);

/* The object of a class, which may be its options: see akin_loss_class. */
akin_status ak_loss_object(void **self, const akin_loss_class *type, const void *options,
                           int64_t dim, int64_t groups, akin_parameters *parameters,
                           akin_error *error);
void ak_loss_object_free(void *self, const akin_loss_class *type); /* self NULL: nothing */

/* NULL-terminated: what the registry starts with. */
extern const akin_loss_class *const ak_losses[];

#endif
