/* config.json of a transformer of BERT's family, as transformers writes it. `folder` is what
   messages call its folder. */
#ifndef AK_MODEL_BERT_CONFIG_H
#define AK_MODEL_BERT_CONFIG_H

#include "model/bert.h"

/* model_type says which keys there are. */
akin_status ak_bert_config_read(ak_bert_config *out, const ak_value *config, const char *folder,
                                akin_error *error);

/* A count that must be there, and the name of an activation: of modules' configurations too. */
akin_status ak_config_count(int64_t *out, const ak_value *config, const char *key,
                            const char *folder, akin_error *error);
akin_status ak_config_activation(ak_activation *out, const char *name, const char *folder,
                                 akin_error *error);

#endif
