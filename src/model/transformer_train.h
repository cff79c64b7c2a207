/* The trainable half of the transformer encoder: BERT, Dense modules and normalisation with their
   gradients, all weights in one block of parameters, and the files of a tuned folder. */
#ifndef AK_MODEL_TRANSFORMER_TRAIN_H
#define AK_MODEL_TRANSFORMER_TRAIN_H

#include "model/model.h"
#include "model/sentence_folder.h"

typedef struct ak_transformer_train ak_transformer_train;

/* `folder` must outlive *out. seed: of what LoRA draws.
   Parameters are named as in the files; a Dense module's have its
   folder's name before them ("2_Dense/linear.weight"). */
akin_status ak_transformer_train_create(ak_transformer_train **out,
                                        const ak_sentence_folder *folder,
                                        const ak_bert_train_options *options, uint64_t seed,
                                        akin_error *error);
void ak_transformer_train_free(ak_transformer_train *train);
akin_parameters *ak_transformer_train_parameters(ak_transformer_train *train);

/* As an encoder class's. */
akin_status ak_transformer_train_forward(const ak_transformer_train *train, const akin_pass *pass,
                                         const ak_tokens *tokens, akin_matrix y, void **record,
                                         akin_error *error);
akin_status ak_transformer_train_backward(ak_transformer_train *train, const akin_pass *pass,
                                          const ak_tokens *tokens, const void *record,
                                          akin_matrix dy, akin_error *error);

/* See ak_bert_train_stem; NULL: there is none. */
const ak_bert_train *ak_transformer_train_stem(const ak_transformer_train *train);

/* Are all values still the folder's? */
bool ak_transformer_train_is_base(const ak_transformer_train *train);
/* The hash that the file of weights of module -1 (the transformer) or of Dense module i has or
   would have. */
akin_status ak_transformer_train_hash(const ak_transformer_train *train, int module, ak_hash *hash,
                                      akin_error *error);
/* Writes the files of weights into a copy of the folder that has none. */
akin_status ak_transformer_train_save(const ak_transformer_train *train, const char *folder,
                                      akin_error *error);

#endif
