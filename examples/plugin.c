/* The same loss for the command, as a plug-in:

       cc -shared -fPIC -o margin.so plugin.c margin_loss.c $(pkg-config --cflags --libs akin)
       akin train recipe.yaml --plugin ./margin.so --set loss.type=margin */
#include "margin_loss.h"

AKIN_API akin_status akin_plugin(akin_context *context, akin_error *error);

akin_status akin_plugin(akin_context *context, akin_error *error)
{
    return akin_register_loss(context, &margin_loss, error);
}
