/*
 * The command line: what every form of a flag gives, and that whatever is not
 * exactly a flag, a word or a command is refused with the words to mend it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "client/client.h"
#include "client/command.h"
#include "client/options.h"
#include "client/spec.h"
#include "client/text.h"

enum { LINE_WORDS = 40 };

/* Splits LINE at blanks; "''" is an empty word. */
static char **
split(const char *line)
{
	static char copy[1024], *words[LINE_WORDS + 1];
	size_t n = 0;
	char *word;

	assert_true(strlen(line) < sizeof(copy));
	strcpy(copy, line);
	for (word = strtok(copy, " "); word != NULL; word = strtok(NULL, " ")) {
		assert_true(n < LINE_WORDS);
		words[n++] = strcmp(word, "''") == 0 ? word + 2 : word;
	}
	words[n] = NULL;
	return words;
}

/* Parses LINE as the command it names. */
static int
parse(const char *line, struct args *args, char err[ARGS_ERROR])
{
	char **words = split(line);
	const struct command *row;
	size_t used;

	err[0] = '\0';
	row = command_find(words, &used);
	assert_non_null(row);
	return options_parse(&row->syntax, words + used, args, err);
}

static void
forms(void **state)
{
	static const struct { const char *line; enum flag_id id; const char *value; }
	good[] = {
		{ "vm run --name web", FLAG_NAME, "web" },
		{ "vm run --name=web", FLAG_NAME, "web" },
		{ "vm run -n web", FLAG_NAME, "web" },
		{ "vm run -nweb", FLAG_NAME, "web" },
		{ "vm run --name=", FLAG_NAME, "" },
		{ "vm run -e A=B=C", FLAG_ENV, "A=B=C" },
		{ "vm run -eA=B", FLAG_ENV, "A=B" },
		{ "vm run --env=A=B", FLAG_ENV, "A=B" },
		{ "vm run -e -1", FLAG_ENV, "-1" },
		{ "vm run --rm", FLAG_RM, "" },
		{ "vm run -d", FLAG_DETACH, "" },
		{ "vm exec -t web", FLAG_TTY, "" },
		{ "vm exec web -t", FLAG_TTY, "" },
		{ "vm exec -tu user web", FLAG_USER, "user" },
		{ "vm exec -tuuser web", FLAG_USER, "user" },
		{ "vm show web --json", FLAG_JSON, "" },
		{ "ps --json", FLAG_JSON, "" },
		{ "vm stop --timeout 5 web", FLAG_TIMEOUT, "5" },
	};
	struct args args;
	char err[ARGS_ERROR];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(good); i++) {
		if (parse(good[i].line, &args, err) < 0)
			fail_msg("%s: %s", good[i].line, err);
		assert_string_equal(args_value(&args, good[i].id),
		    good[i].value);
	}
}

static void
words_and_command(void **state)
{
	struct args args;
	char err[ARGS_ERROR];

	(void)state;
	assert_int_equal(parse("vm run", &args, err), 0);
	assert_null(args.command);
	assert_int_equal(parse("vm run -- ls -la --rm -- x", &args, err), 0);
	assert_string_equal(args.command[0], "ls");
	assert_string_equal(args.command[1], "-la");
	assert_string_equal(args.command[2], "--rm");
	assert_string_equal(args.command[3], "--");
	assert_false(args_has(&args, FLAG_RM));
	assert_int_equal(parse("vm exec web -- sh", &args, err), 0);
	assert_string_equal(args.words[0], "web");
	assert_int_equal(parse("vm delete -f a b c", &args, err), 0);
	assert_int_equal(args.word_count, 3);
	assert_null(args.words[3]);
	/* Without a guest's command, -- lets words begin with a dash. */
	assert_int_equal(parse("image import --name x -- -f.tar", &args, err), 0);
	assert_string_equal(args.words[0], "-f.tar");
	assert_int_equal(parse("image import --name x -", &args, err), 0);
	assert_string_equal(args.words[0], "-");
	assert_int_equal(parse("vm run -e A=1 -e B=2 --env C=3", &args, err), 0);
	assert_int_equal(args.given_count, 3);
	assert_string_equal(args.given[1].value, "B=2");
}

static void
refused(void **state)
{
	static const struct { const char *line, *says; } bad[] = {
		{ "vm run --nme web", "did you mean --name?" },
		{ "vm run --memroy 1", "did you mean --memory?" },
		{ "vm run --nam web", "did you mean --name?" },
		{ "vm run --xyzzy", "unknown flag --xyzzy" },
		{ "vm run --=x", "unknown flag" },
		{ "vm run -x", "unknown flag -x" },
		{ "vm run -dx", "unknown flag -x" },
		{ "vm run --name", "--name needs a value" },
		{ "vm run --name --", "--name needs a value" },
		{ "vm run --name --rm", "--name needs a value before --rm" },
		{ "vm run -n", "--name needs a value" },
		{ "vm run --rm=yes", "--rm takes no value" },
		{ "vm run --name a --name b", "given twice" },
		{ "vm run --rm --rm", "given twice" },
		{ "vm run --", "no command after --" },
		{ "vm run img ls", "a command goes after --" },
		{ "vm run --rm ls -la", "a command goes after --" },
		{ "vm exec web ls -la", "`-- ls`" },
		{ "vm exec", "VM is missing" },
		{ "vm exec -- ls", "VM is missing" },
		{ "vm show", "VM is missing" },
		{ "vm show a b", "unexpected \"b\"" },
		{ "vm list a", "unexpected \"a\"" },
		{ "vm list -- a", "unexpected \"a\"" },
		{ "vm list --jsn", "did you mean --json?" },
		{ "vm delete", "VM is missing" },
		{ "image import --name x", "PATH is missing" },
		{ "version now", "unexpected \"now\"" },
	};
	struct args args;
	char err[ARGS_ERROR];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		if (parse(bad[i].line, &args, err) == 0)
			fail_msg("%s: accepted", bad[i].line);
		if (strstr(err, bad[i].says) == NULL)
			fail_msg("%s: says: %s", bad[i].line, err);
		assert_null(strchr(err, '\n'));
	}
}

static void
too_many(void **state)
{
	char *argv[ARGS_GIVEN + ARGS_WORDS + 8];
	char flag[] = "-eA=1", word[] = "vm";
	struct args args;
	char err[ARGS_ERROR];
	char **words = split("vm run");
	size_t used, i;
	const struct command *row = command_find(words, &used);

	(void)state;
	for (i = 0; i <= ARGS_GIVEN; i++)
		argv[i] = flag;
	argv[i] = NULL;
	assert_int_equal(options_parse(&row->syntax, argv, &args, err), -EINVAL);
	argv[ARGS_GIVEN] = NULL;
	assert_int_equal(options_parse(&row->syntax, argv, &args, err), 0);
	words = split("vm kill");
	row = command_find(words, &used);
	for (i = 0; i <= ARGS_WORDS; i++)
		argv[i] = word;
	argv[i] = NULL;
	assert_int_equal(options_parse(&row->syntax, argv, &args, err), -EINVAL);
}

static void
commands_found(void **state)
{
	static const struct { const char *line, *name; size_t used; } rows[] = {
		{ "vm run x", "vm run", 2 },
		{ "run x", "vm run", 1 },
		{ "ps", "vm list", 1 },
		{ "vm ps", "vm list", 2 },
		{ "vm ls", "vm list", 2 },
		{ "vm rm x", "vm delete", 2 },
		{ "images", "image list", 1 },
		{ "daemon", "daemon", 1 },
	};
	static const char *const none[] = { "vm", "vmrun", "vm runn", "run2",
		"list", "image", "p", "rm", "vm,ps", "''" };
	const struct command *row;
	size_t i, used;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		row = command_find(split(rows[i].line), &used);
		assert_non_null(row);
		assert_string_equal(row->name, rows[i].name);
		assert_int_equal(used, rows[i].used);
	}
	for (i = 0; i < ARRAY_SIZE(none); i++)
		assert_null(command_find(split(none[i]), &used));
}

/* Each row is whole: a handler, flags with --help, no flag or letter twice. */
static void
table_is_sound(void **state)
{
	const struct command *row;

	(void)state;
	for (row = commands; row->name != NULL; row++) {
		const struct flag *flag, *other;
		bool help = false;

		assert_non_null(row->run);
		assert_non_null(row->usage);
		assert_non_null(row->summary);
		assert_non_null(row->syntax.word);
		for (flag = row->syntax.flags; flag->id != 0; flag++) {
			help |= flag->id == FLAG_HELP;
			for (other = row->syntax.flags; other != flag; other++) {
				assert_string_not_equal(flag->name, other->name);
				assert_int_not_equal(flag->id, other->id);
				if (flag->letter != 0)
					assert_int_not_equal(flag->letter,
					    other->letter);
			}
		}
		assert_true(help);
	}
}

static void
specs_refused(void **state)
{
	static const struct { const char *line, *says; } bad[] = {
		{ "vm run --name ''", "--name" },
		{ "vm run --name=-x", "not a host name" },
		{ "vm run --name x-", "not a host name" },
		{ "vm run --name Web", "not a host name" },
		{ "vm run --name a.b", "not a host name" },
		{ "vm run --name a_b", "not a host name" },
		{ "vm run --name ../x", "not a host name" },
		{ "vm run --name aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		    "aaaaaaaaaaaaaaaa", "not a host name" },
		{ "vm run --image ../x", "not a name" },
		{ "vm run --image A", "not a name" },
		{ "vm run --image=", "not a name" },
		{ "vm run --kernel .x", "not a name" },
		{ "vm run --vcpu 0", "--vcpu" },
		{ "vm run --vcpu 3", "--vcpu" },
		{ "vm run --vcpu 34", "--vcpu" },
		{ "vm run --vcpu +2", "--vcpu" },
		{ "vm run --vcpu 02", "--vcpu" },
		{ "vm run --vcpu 4294967298", "--vcpu" },
		{ "vm run --memory ''", "not a size" },
		{ "vm run --memory 0", "not between" },
		{ "vm run --memory -1", "not a size" },
		{ "vm run --memory 1.5G", "not a size" },
		{ "vm run --memory 1g", "not a size" },
		{ "vm run --memory 63", "not between" },
		{ "vm run --memory 100000K", "whole MiB" },
		{ "vm run --memory 2T", "not between" },
		{ "vm run --memory 99999999999999999999", "not between" },
		{ "vm run --disk-size 20", "with its unit" },
		{ "vm run --disk-size 20GB", "with its unit" },
		{ "vm run --disk-size 0G", "out of range" },
		{ "vm run --disk-size 1025T", "out of range" },
		{ "vm run --init systemd", "not image or none" },
		{ "vm run -d --rm", "exclude each other" },
		{ "vm run -d -- ls", "takes no command" },
		{ "vm run -d -e A=1", "--env" },
		{ "vm run -d -t", "--tty" },
	};
	struct args args;
	struct vm_spec spec;
	char err[ARGS_ERROR];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		if (parse(bad[i].line, &args, err) < 0)
			fail_msg("%s: not even parsed: %s", bad[i].line, err);
		if (spec_read(&args, &spec, err) == 0)
			fail_msg("%s: accepted", bad[i].line);
		if (strstr(err, bad[i].says) == NULL)
			fail_msg("%s: says: %s", bad[i].line, err);
	}
}

static void
specs_written(void **state)
{
	static const struct { const char *line, *json; } good[] = {
		{ "vm run", "{\"spec\":{},\"rm\":true}" },
		{ "vm run --name web", "{\"spec\":{\"name\":\"web\"},\"rm\":false}" },
		{ "vm run --name web --rm",
		    "{\"spec\":{\"name\":\"web\"},\"rm\":true}" },
		{ "vm run -d", "{\"spec\":{},\"rm\":false}" },
		{ "vm run --nat --vcpu 2 --memory 512 --disk-size 20G --init none",
		    "{\"spec\":{\"init\":\"none\",\"vcpu\":2,\"memory_mib\":512,"
		    "\"disk_size_bytes\":21474836480,\"nat\":true},\"rm\":true}" },
		{ "vm run --memory 2G --image a.b-1 --kernel k",
		    "{\"spec\":{\"image\":\"a.b-1\",\"kernel\":\"k\","
		    "\"memory_mib\":2048},\"rm\":true}" },
	};
	struct args args;
	struct vm_spec spec;
	char err[ARGS_ERROR];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(good); i++) {
		struct buf buf _cleanup_buf_ = BUF_INIT(4096);

		assert_int_equal(parse(good[i].line, &args, err), 0);
		assert_int_equal(spec_read(&args, &spec, err), 0);
		json_open(&buf, NULL, '{');
		spec_write(&spec, &buf);
		json_close(&buf, '}');
		buf_append(&buf, "", 1);
		assert_string_equal(buf.data, good[i].json);
	}
}

static void
changes(void **state)
{
	static const struct { const char *line, *says; } bad[] = {
		{ "vm set web", "nothing to set" },
		{ "vm set web --json", "nothing to set" },
		{ "vm set web --nat --no-nat", "exclude each other" },
		{ "vm set web --vcpu 3", "--vcpu" },
		{ "vm set web --memory 63", "not between" },
		{ "vm set web --disk-size 20", "with its unit" },
	};
	static const struct { const char *line, *json; } good[] = {
		{ "vm set --vcpu 4 web", "{\"vcpu\":4}" },
		{ "vm set web --nat", "{\"nat\":true}" },
		{ "vm set web --no-nat", "{\"nat\":false}" },
		{ "vm set web -m 2G --disk-size 20G", "{\"memory_mib\":2048,"
		    "\"disk_size_bytes\":21474836480}" },
	};
	struct vm_change change;
	struct args args;
	char err[ARGS_ERROR];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(parse(bad[i].line, &args, err), 0);
		if (change_read(&args, &change, err) == 0)
			fail_msg("%s: accepted", bad[i].line);
		if (strstr(err, bad[i].says) == NULL)
			fail_msg("%s: says: %s", bad[i].line, err);
	}
	for (i = 0; i < ARRAY_SIZE(good); i++) {
		struct buf buf _cleanup_buf_ = BUF_INIT(4096);

		assert_int_equal(parse(good[i].line, &args, err), 0);
		assert_int_equal(change_read(&args, &change, err), 0);
		json_open(&buf, NULL, '{');
		change_write(&change, &buf);
		json_close(&buf, '}');
		buf_append(&buf, "", 1);
		assert_string_equal(buf.data, good[i].json);
	}
}

static void
exec_specs(void **state)
{
	static const char *const bad[] = {
		"vm exec -e =x web", "vm exec -e '' web",
		"vm exec -e BANGER_NOT_SET web", "vm exec -w etc web",
		"vm exec -w '' web", "vm exec -u '' web",
	};
	struct args args;
	char err[ARGS_ERROR];
	size_t i;

	(void)state;
	setenv("BANGER_SET", "a b", 1);
	unsetenv("BANGER_NOT_SET");
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		struct exec_spec exec _cleanup_exec_ = { 0 };

		assert_int_equal(parse(bad[i], &args, err), 0);
		assert_int_equal(exec_spec_read(&args, &exec, err), -EINVAL);
		assert_true(err[0] != '\0');
	}
	{
		struct exec_spec exec _cleanup_exec_ = { 0 };

		assert_int_equal(parse("vm exec -e BANGER_SET -e X=Y=Z -e E= "
		    "-w /tmp -u me:us -t web -- ls -l", &args, err), 0);
		assert_int_equal(exec_spec_read(&args, &exec, err), 0);
		assert_int_equal(exec.env_count, 3);
		assert_string_equal(exec.env[0], "BANGER_SET=a b");
		assert_string_equal(exec.env[1], "X=Y=Z");
		assert_string_equal(exec.env[2], "E=");
		assert_null(exec.env[3]);
		assert_string_equal(exec.workdir, "/tmp");
		assert_string_equal(exec.user, "me:us");
		assert_int_equal(exec.command_count, 2);
		assert_true(exec.tty);
	}
}

/* pkexec CVE-2021-4034: argv may be empty. */
static void
no_arguments(void **state)
{
	char name[] = "banger", vm[] = "vm", unknown[] = "vmm";
	char *none[] = { NULL }, *one[] = { name, NULL },
	    *group[] = { name, vm, NULL }, *odd[] = { name, unknown, NULL };

	(void)state;
	assert_int_equal(client_main(0, none), EXIT_USAGE);
	assert_int_equal(client_main(1, one), EXIT_USAGE);
	assert_int_equal(client_main(2, group), EXIT_USAGE);
	assert_int_equal(client_main(2, odd), EXIT_USAGE);
}

static void
suggestions(void **state)
{
	static const char *const words[] = { "image", "kernel", "memory", NULL };

	(void)state;
	assert_int_equal(text_distance("", ""), 0);
	assert_int_equal(text_distance("abc", ""), 3);
	assert_int_equal(text_distance("abc", "acb"), 1);
	assert_int_equal(text_distance("kitten", "sitting"), 3);
	assert_string_equal(text_nearest("imgae", words), "image");
	assert_string_equal(text_nearest("memori", words), "memory");
	assert_null(text_nearest("xx", words));
	assert_null(text_nearest("", words));
	assert_null(text_nearest("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	    words));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forms),
		cmocka_unit_test(words_and_command),
		cmocka_unit_test(refused),
		cmocka_unit_test(too_many),
		cmocka_unit_test(commands_found),
		cmocka_unit_test(table_is_sound),
		cmocka_unit_test(specs_refused),
		cmocka_unit_test(specs_written),
		cmocka_unit_test(changes),
		cmocka_unit_test(exec_specs),
		cmocka_unit_test(no_arguments),
		cmocka_unit_test(suggestions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
