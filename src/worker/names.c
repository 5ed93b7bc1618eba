/*
 * Two words that can be typed and told apart, and two digits.
 */
#include "worker/names.h"

#include <stdio.h>

static const char *const adjectives[32] = {
	"able", "bold", "brisk", "calm", "clear", "cool", "crisp", "deft",
	"eager", "fair", "fast", "firm", "fresh", "glad", "gentle", "keen",
	"kind", "light", "lively", "lucky", "mild", "neat", "nimble", "proud",
	"quick", "quiet", "rapid", "sharp", "swift", "tidy", "warm", "wise",
};

static const char *const animals[32] = {
	"badger", "bear", "beaver", "bison", "crane", "crow", "deer", "dove",
	"eagle", "falcon", "finch", "fox", "gecko", "hare", "heron", "horse",
	"ibex", "jay", "kite", "lark", "lynx", "marten", "mole", "newt",
	"otter", "owl", "panda", "raven", "robin", "seal", "swan", "wren",
};

void
generate_name(uint32_t bits, char out[NAME_BYTES])
{
	snprintf(out, NAME_BYTES, "%s-%s-%02x", adjectives[bits & 31],
	    animals[bits >> 5 & 31], bits >> 10 & 255);
}
