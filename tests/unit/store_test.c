/*
 * The store: rows that are torn, foreign or hostile are set aside, what belongs
 * to nothing goes, and nothing outside is touched.
 */
#include "unit.h"

#include "privsep/log.h"
#include "worker/console.h"
#include "worker/rows.h"
#include "worker/store.h"

static struct temp temp;
static struct store store;

static int
set_up(void **state)
{
	(void)state;
	begin_temp(&temp);
	return store_open(&store, dup(temp.fd));
}

static int
tear_down(void **state)
{
	(void)state;
	store_close(&store);
	end_temp(&temp);
	return 0;
}

static void
put(const char *name, const char *text)
{
	put_file(temp.fd, name, text, strlen(text));
}

static unsigned int visited;

static int
visit(void *arg, const char *name, const cJSON *tree)
{
	(void)name;
	assert_non_null(tree);
	visited++;
	return arg == NULL ? 0 : *(int *)arg;
}

static void
rows_come_back(void **state)
{
	struct buf row = BUF_INIT(STORE_ROW_MAX);

	(void)state;
	buf_puts(&row, "{\"a\":1}\n");
	assert_int_equal(store_save(&store, STORE_VMS, "x", &row, true), 0);
	assert_int_equal(store_save(&store, STORE_VMS, "x", &row, false), 0);
	assert_int_equal(store_save(&store, STORE_IMAGES, "x.json", &row,
	    true), 0);
	visited = 0;
	assert_int_equal(store_each(&store, STORE_VMS, visit, NULL), 0);
	assert_int_equal(visited, 1);
	assert_int_equal(store_each(&store, STORE_IMAGES, visit, NULL), 0);
	assert_int_equal(visited, 2);
	assert_true(exists(temp.fd, "images/x.json.json"));
	row.failed = true;
	assert_int_equal(store_save(&store, STORE_VMS, "x", &row, true),
	    -ENOMEM);
	buf_free(&row);
}

static void
torn_rows_are_set_aside(void **state)
{
	static const char *const bad[] = {
		"", "{", "{\"a\":1", "[]", "\0", "{}garbage",
	};
	char name[64], aside[80];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(name, sizeof(name), "vms/r%zu.json", i);
		put(name, bad[i]);
	}
	put("vms/good.json", "{}");
	put("vms/r0.disk", "precious");
	visited = 0;
	assert_int_equal(store_each(&store, STORE_VMS, visit, NULL), 0);
	assert_int_equal(visited, 1);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(name, sizeof(name), "vms/r%zu.json", i);
		snprintf(aside, sizeof(aside), "%s.bad", name);
		assert_case(!exists(temp.fd, name), i, bad[i]);
		assert_case(exists(temp.fd, aside), i, bad[i]);
	}
	assert_true(exists(temp.fd, "vms/r0.disk"));
}

static void
what_is_no_file(void **state)
{
	char *big = malloc(STORE_ROW_MAX + 2);

	(void)state;
	memset(big, ' ', STORE_ROW_MAX + 2);
	put_file(temp.fd, "vms/big.json", big, STORE_ROW_MAX + 2);
	free(big);
	put("outside", "{}");
	assert_int_equal(symlinkat("../outside", temp.fd, "vms/link.json"), 0);
	assert_int_equal(mkfifoat(temp.fd, "vms/fifo.json", 0600), 0);
	assert_int_equal(mkdirat(temp.fd, "vms/dir.json", 0700), 0);
	visited = 0;
	assert_int_equal(store_each(&store, STORE_VMS, visit, NULL), 0);
	assert_int_equal(visited, 0);
	assert_true(exists(temp.fd, "outside"));
	assert_true(exists(temp.fd, "vms/link.json.bad"));
	assert_true(exists(temp.fd, "vms/fifo.json.bad"));
	assert_true(exists(temp.fd, "vms/dir.json.bad"));
	assert_true(exists(temp.fd, "vms/big.json.bad"));
	assert_int_equal(store_file(&store, STORE_VMS, "link", "json.bad",
	    O_RDONLY), -ELOOP);
}

static void
refused_rows(void **state)
{
	int refuse = -EINVAL, fatal_error = -ENOMEM;

	(void)state;
	put("images/a.json", "{}");
	assert_int_equal(store_each(&store, STORE_IMAGES, visit, &refuse), 0);
	assert_true(exists(temp.fd, "images/a.json.bad"));
	put("images/b.json", "{}");
	assert_int_equal(store_each(&store, STORE_IMAGES, visit,
	    &fatal_error), -ENOMEM);
	assert_true(exists(temp.fd, "images/b.json"));
}

static bool
known(void *arg, const char *name)
{
	(void)arg;
	return strcmp(name, "known") == 0;
}

static void
orphans_go(void **state)
{
	(void)state;
	put("vms/known.json", "{}");
	put("vms/known.disk", "x");
	put("vms/orphan.disk", "x");
	put("vms/orphan.console", "x");
	put("vms/torn.json.bad", "x");
	put("vms/torn.disk", "x");
	put("vms/README", "x");
	assert_int_equal(store_sweep(&store, STORE_VMS, known, NULL), 0);
	assert_true(exists(temp.fd, "vms/known.disk"));
	assert_false(exists(temp.fd, "vms/orphan.disk"));
	assert_false(exists(temp.fd, "vms/orphan.console"));
	assert_true(exists(temp.fd, "vms/torn.disk"));
	assert_true(exists(temp.fd, "vms/README"));
}

static void
tmp_is_emptied(void **state)
{
	(void)state;
	put("tmp/half.disk", "x");
	store_close(&store);
	assert_int_equal(store_open(&store, dup(temp.fd)), 0);
	assert_false(exists(temp.fd, "tmp/half.disk"));
}

/* A directory of the store that is a link is not ours. */
static void
planted_directory(void **state)
{
	struct store other;
	struct temp bare;

	(void)state;
	begin_temp(&bare);
	assert_int_equal(symlinkat("/tmp", bare.fd, "vms"), 0);
	assert_int_equal(store_open(&other, dup(bare.fd)), -ENOTDIR);
	end_temp(&bare);
}

static void
names_too_long(void **state)
{
	char name[STORE_NAME_BYTES + 1];

	(void)state;
	memset(name, 'a', STORE_NAME_BYTES);
	name[STORE_NAME_BYTES] = '\0';
	assert_int_equal(store_file(&store, STORE_VMS, name, "disk",
	    O_RDONLY), -ENAMETOOLONG);
	assert_int_equal(store_remove(&store, STORE_VMS, "absent", "disk"), 0);
}

static void
anonymous_files(void **state)
{
	int fd = store_anonymous(&store, "text", 4);
	struct stat st;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_nlink, 0);
	assert_int_equal(st.st_size, 4);
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	close(fd);
	assert_false(exists(temp.fd, "tmp/anonymous"));
}

/* ---- rows ---- */

static const struct machine_row machine = {
	.id = UINT64_C(0x00ab12cd34ef), .name = "box", .image = "img",
	.kernel = "k-6.1", .state = MACHINE_RUNNING, .vcpus = 2,
	.mem_mib = 512, .disk_bytes = UINT64_C(8) << 30,
	.ipv4 = 0xac100002, .gateway = 0xac100001, .prefix = 24,
	.mac = { 2, 0xfc, 1, 2, 3, 4 }, .nat = true, .created_s = 1,
	.started_s = 2, .exit = "stopped", .vmm = VMM_FIRECRACKER,
};

static void
machine_rows(void **state)
{
	struct buf row = BUF_INIT(STORE_ROW_MAX);
	struct machine_row again;
	cJSON *tree;

	(void)state;
	machine_row_write(&row, &machine);
	tree = json_parse(row.data, row.len);
	assert_non_null(tree);
	memset(&again, 0, sizeof(again));
	assert_int_equal(machine_row_read("00ab12cd34ef", tree, &again), 0);
	assert_memory_equal(&again, &machine, sizeof(machine));
	/* The file of another VM. */
	assert_int_equal(machine_row_read("00ab12cd34ee", tree, &again),
	    -EINVAL);
	cJSON_Delete(tree);
	buf_free(&row);
}

/* Every member in turn is missing, of another type, or hostile. */
static void
damaged_machine_rows(void **state)
{
	struct buf row = BUF_INIT(STORE_ROW_MAX);
	struct machine_row again;
	int i, count;
	cJSON *tree;

	(void)state;
	machine_row_write(&row, &machine);
	tree = json_parse(row.data, row.len);
	count = cJSON_GetArraySize(tree);
	for (i = 0; i < count; i++) {
		cJSON *item = cJSON_DetachItemFromArray(tree, i);
		bool optional = strcmp(item->string, "exit") == 0 ||
		    strcmp(item->string, "last_error") == 0 ||
		    strcmp(item->string, "restart_needed") == 0;

		assert_case((machine_row_read("00ab12cd34ef", tree, &again) ==
		    0) == optional, i, item->string);
		cJSON_AddNullToObject(tree, item->string);
		assert_case(machine_row_read("00ab12cd34ef", tree, &again) ==
		    -EINVAL, i, item->string);
		cJSON_DeleteItemFromArray(tree, count - 1);
		if (cJSON_IsString(item)) {
			cJSON_AddStringToObject(tree, item->string,
			    "../../../../etc/passwd and a text that is longer "
			    "than any that a row may have, to be refused in "
			    "every member that it stands in, since it does not "
			    "fit: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
			    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
			    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
			assert_case(machine_row_read("00ab12cd34ef", tree,
			    &again) == -EINVAL, i, item->string);
			cJSON_DeleteItemFromArray(tree, count - 1);
		}
		cJSON_InsertItemInArray(tree, i, item);
	}
	cJSON_AddNumberToObject(tree, "surprise", 1);
	assert_int_equal(machine_row_read("00ab12cd34ef", tree, &again),
	    -EINVAL);
	cJSON_Delete(tree);
	buf_free(&row);
}

static void
catalog_rows(void **state)
{
	struct image_row image = { .name = "img", .file = "img.1",
		.kernel = "k", .size_bytes = 1 << 20, .content_bytes = 5,
		.entries = 7, .has_init = true, .has_checksum = true,
		.checksum = 0x8899aabbccddeeff, .created_s = 9 }, image_again;
	struct kernel_row kernel = { .name = "k", .version = "6.1.0",
		.modules = 3, .vmlinux_bytes = 4, .initrd_bytes = 5,
		.initrd_modules_bytes = 2, .pvh = true, .agent = "id",
		.created_s = 9 }, kernel_again;
	struct buf row = BUF_INIT(STORE_ROW_MAX);
	cJSON *tree;

	(void)state;
	memset(&image_again, 0, sizeof(image_again));
	memset(&kernel_again, 0, sizeof(kernel_again));
	image_row_write(&row, &image);
	tree = json_parse(row.data, row.len);
	assert_int_equal(image_row_read("img", tree, &image_again), 0);
	assert_string_equal(image_again.name, "img");
	assert_string_equal(image_again.file, "img.1");
	assert_string_equal(image_again.kernel, "k");
	assert_true(image_again.has_checksum);
	assert_int_equal(image_again.checksum, image.checksum);
	assert_int_equal(image_again.size_bytes, image.size_bytes);
	/* As a row from before these members reads. */
	cJSON_DeleteItemFromObject(tree, "file");
	cJSON_DeleteItemFromObject(tree, "kernel");
	cJSON_DeleteItemFromObject(tree, "checksum");
	assert_int_equal(image_row_read("img", tree, &image_again), 0);
	assert_string_equal(image_again.file, "img");
	assert_string_equal(image_again.kernel, "");
	assert_false(image_again.has_checksum);
	assert_int_equal(image_row_read("imh", tree, &image_again), -EINVAL);
	cJSON_Delete(tree);
	buf_clear(&row);
	kernel_row_write(&row, &kernel);
	tree = json_parse(row.data, row.len);
	assert_int_equal(kernel_row_read("k", tree, &kernel_again), 0);
	assert_string_equal(kernel_again.agent, "id");
	assert_false(kernel_again.vsock);
	/* As a row from before the member reads. */
	assert_false(kernel_again.acpi);
	cJSON_DeleteItemFromObject(tree, "vsock");
	cJSON_DeleteItemFromObject(tree, "acpi");
	assert_int_equal(kernel_row_read("k", tree, &kernel_again), 0);
	assert_true(kernel_again.vsock);
	assert_true(kernel_again.acpi);
	assert_int_equal(kernel_row_read("l", tree, &kernel_again), -EINVAL);
	cJSON_Delete(tree);
	buf_free(&row);
}

/* ---- console ---- */

static unsigned int halts;

static void
halt(void *arg)
{
	++*(unsigned int *)arg;
}

static void
console_is_bounded(void **state)
{
	struct console console;
	struct stat st;
	char line[64];
	char *tail;
	int i;

	(void)state;
	console_init(&console, &store, "0123456789ab", halt, &halts);
	assert_int_equal(console_open(&console, true), 0);
	for (i = 0; i < 40000; i++) {
		snprintf(line, sizeof(line), "line %05d of a guest that "
		    "talks too much", i);
		console_note(&console, line);
		assert_true(console.size <= CONSOLE_MAX);
	}
	assert_int_equal(fstat(console.log, &st), 0);
	assert_int_equal(st.st_size, console.size);
	assert_true(st.st_size >= CONSOLE_KEPT);
	console_close(&console);
	tail = console_tail(&store, "0123456789ab", 2);
	assert_string_equal(tail, "line 39998 of a guest that talks too much\n"
	    "line 39999 of a guest that talks too much");
	free(tail);
	/* The next run of the VM begins a new one. */
	assert_int_equal(console_open(&console, true), 0);
	assert_int_equal(console.size, 0);
	console_note(&console, "\x1b[31mred\x07");
	console_close(&console);
	tail = console_tail(&store, "0123456789ab", 10);
	assert_string_equal(tail, "?[31mred?");
	free(tail);
	assert_null(console_tail(&store, "ffffffffffff", 10));
	/* Of a panic its beginning. */
	assert_int_equal(console_open(&console, true), 0);
	for (i = 0; i < 20; i++)
		console_note(&console, i == 7 ?
		    "[    2.7] Kernel panic - not syncing: why" : "trace");
	console_close(&console);
	tail = console_tail(&store, "0123456789ab", 2);
	assert_string_equal(tail, "[    2.7] Kernel panic - not syncing: why\n"
	    "trace");
	free(tail);
}

/* The kernel's last words, whole, in pieces, and almost. */
static void
console_hears_a_halt(void **state)
{
	static const char *const texts[] = {
		"reboot: Power down\r\n", "xreboot: y", "rerebooreboot: ",
		"reboot:", "reboot:x ", "Reboot: ", "reboo\nt: ",
	};
	struct console console;
	struct events events;
	int pipefd[2];
	size_t i;

	(void)state;
	halts = 0;
	assert_int_equal(events_init(&events), 0);
	console_init(&console, &store, "0123456789ab", halt, &halts);
	assert_int_equal(pipe2(pipefd, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(console_attach(&console, &events, pipefd[0]), 0);
	for (i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_true(write(pipefd[1], texts[i], strlen(texts[i])) > 0);
		assert_true(write(pipefd[1], "\n", 1) == 1);
		assert_int_equal(events_turn(&events, 0), 0);
	}
	for (i = 0; i < 8; i++) {
		assert_int_equal(write(pipefd[1], &"reboot: "[i], 1), 1);
		assert_int_equal(events_turn(&events, 0), 0);
	}
	close(pipefd[1]);
	console_close(&console);
	events_close(&events);
	assert_int_equal(halts, 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rows_come_back),
		TEST(torn_rows_are_set_aside),
		TEST(what_is_no_file),
		TEST(refused_rows),
		TEST(orphans_go),
		TEST(tmp_is_emptied),
		TEST(planted_directory),
		TEST(names_too_long),
		TEST(anonymous_files),
		TEST(machine_rows),
		TEST(damaged_machine_rows),
		TEST(catalog_rows),
		TEST(console_is_bounded),
		TEST(console_hears_a_halt),
	};

	log_init("test", LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
