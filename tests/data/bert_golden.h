/* Made by make_bert_golden.py with PyTorch 2.15.0 */
static const struct {
    const char *name;
    double norm, projection;
} bert_gradients[] = {
    {"embeddings.word_embeddings.weight", 4.15026291, 1.00218379},
    {"embeddings.position_embeddings.weight", 3.9420636, 1.07504218},
    {"embeddings.token_type_embeddings.weight", 3.73475903, 0.527209426},
    {"embeddings.LayerNorm.weight", 1.80617994, 0.258035863},
    {"embeddings.LayerNorm.bias", 1.75278639, 0.622386822},
    {"encoder.layer.0.attention.self.query.weight", 2.90165187, -1.60801743},
    {"encoder.layer.0.attention.self.query.bias", 0.497143976, -0.490336401},
    {"encoder.layer.0.attention.self.key.weight", 2.87213984, 0.166973767},
    {"encoder.layer.0.attention.self.key.bias", 4.62699676e-16, 5.35761656e-17},
    {"encoder.layer.0.attention.self.value.weight", 4.92926107, 0.972396006},
    {"encoder.layer.0.attention.self.value.bias", 0.827964311, 0.263494341},
    {"encoder.layer.0.attention.output.dense.weight", 4.19370018, -3.98695626},
    {"encoder.layer.0.attention.output.dense.bias", 0.453907932, -0.372420706},
    {"encoder.layer.0.attention.output.LayerNorm.weight", 1.35578227, 0.325585504},
    {"encoder.layer.0.attention.output.LayerNorm.bias", 1.35047145, -1.34117589},
    {"encoder.layer.0.intermediate.dense.weight", 4.81066513, 0.565392891},
    {"encoder.layer.0.intermediate.dense.bias", 0.722797736, 0.0050879326},
    {"encoder.layer.0.output.dense.weight", 4.45852129, 5.09779046},
    {"encoder.layer.0.output.dense.bias", 0.384521962, -0.0526937609},
    {"encoder.layer.0.output.LayerNorm.weight", 1.248107, -0.879843638},
    {"encoder.layer.0.output.LayerNorm.bias", 1.3006852, 0.349378684},
    {"encoder.layer.1.attention.self.query.weight", 1.41599994, -0.203933088},
    {"encoder.layer.1.attention.self.query.bias", 0.262294547, 0.00972563278},
    {"encoder.layer.1.attention.self.key.weight", 1.6246385, -0.854833937},
    {"encoder.layer.1.attention.self.key.bias", 5.18219864e-16, 7.57670122e-17},
    {"encoder.layer.1.attention.self.value.weight", 4.52596165, 0.224406233},
    {"encoder.layer.1.attention.self.value.bias", 0.768259237, 0.224173123},
    {"encoder.layer.1.attention.output.dense.weight", 4.04012695, 1.14188255},
    {"encoder.layer.1.attention.output.dense.bias", 0.44396466, 0.103769441},
    {"encoder.layer.1.attention.output.LayerNorm.weight", 1.24996955, 0.32794645},
    {"encoder.layer.1.attention.output.LayerNorm.bias", 1.02636713, 0.214647693},
    {"encoder.layer.1.intermediate.dense.weight", 3.70752716, -0.322022976},
    {"encoder.layer.1.intermediate.dense.bias", 0.468337511, -0.185795317},
    {"encoder.layer.1.output.dense.weight", 2.53552787, -1.31019444},
    {"encoder.layer.1.output.dense.bias", 0.222773191, 0.225708786},
    {"encoder.layer.1.output.LayerNorm.weight", 1.02605737, 1.29223702},
    {"encoder.layer.1.output.LayerNorm.bias", 0.570893656, 0.366766878},
};
/* The loss before each step, and after ten. */
static const double bert_losses[] = {
    2.71788406, 1.84899974, 1.4438858, 1.25981903, 1.16677117, 1.11078107,
    1.06752038, 1.02290893, 0.969319344, 0.902491927, 0.819455564,
};
