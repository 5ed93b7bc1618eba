/* config.toml. */
#include "fuzz.h"

#include "privsep/config.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct input in = { data, len };
	char *text = take_string(&in), err[256] = "";
	struct config cfg;
	int r = config_parse(text, "config.toml", &cfg, err, sizeof(err));

	must(r == 0 || (r == -EINVAL && err[0] != '\0' &&
	    strlen(err) < sizeof(err)));
	free(text);
	return 0;
}
