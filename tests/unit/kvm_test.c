/*
 * kvm_probe: what it answers depends on the machine, what it leaves behind
 * does not.
 */
#include <time.h>

#include "privsep/kvm.h"
#include "unit.h"

static void
probe_is_bounded_and_leaves_nothing(void **state)
{
	const unsigned int fds = count_fds();
	const time_t start = time(NULL);
	int r = kvm_probe();

	(void)state;
	assert_true(r <= 1);
	if (access("/dev/kvm", F_OK) < 0)
		assert_int_equal(r, -ENOENT);
	assert_true(time(NULL) - start <=
	    (KVM_SETUP_MS + KVM_RUN_MS) / 1000 + 2);
	assert_int_equal(count_fds(), fds);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(probe_is_bounded_and_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
