/*
 * From argv to a row of the table, and what every handler needs: the
 * configuration, the connection, and one way to report what the worker said.
 */
#include "client/client.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "client/command.h"
#include "client/connect.h"
#include "client/progress.h"
#include "client/text.h"
#include "privsep/daemon.h"
#include "privsep/log.h"
#include "version.h"

static const struct flag global_flags[] = {
	{ FLAG_CONFIG, 'c', false, "config", "FILE", "configuration to use" },
	{ FLAG_VERSION, 'V', false, "version", NULL, "print the version" },
	{ FLAG_HELP, 'h', false, "help", NULL, "show help" },
	{ 0 },
};

static const struct syntax global_syntax = {
	.flags = global_flags,
	.stop_at_word = true,
};

int
usage_error(const struct client *client, const char *fmt, ...)
{
	char text[ARGS_ERROR];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	complain("%s: %s", client->command->name, text);
	return client->command->failure == EXIT_BANGER ? EXIT_BANGER :
	    EXIT_USAGE;
}

int
client_config(struct client *client)
{
	char err[API_TEXT_MAX];
	int r = config_load(client->config_file, false, &client->config, err,
	    sizeof(err));

	if (r < 0)
		complain("%s", err);
	return r;
}

int
client_connect(struct client *client)
{
	char err[API_TEXT_MAX];
	int r = client_config(client);

	if (r < 0)
		return r;
	r = client_open(&client->api, &client->config, client->config_file,
	    err);
	if (r < 0)
		complain("%s", err);
	return r;
}

/* The last lines of a console, each marked as what it is. */
static void
print_console(char *console)
{
	char *line, *next = console;

	while ((line = strsep(&next, "\n")) != NULL) {
		struct text_filter filter = { 0 };

		line[text_filter(&filter, line, strlen(line))] = '\0';
		if (*line != '\0')
			fprintf(stderr, "  | %s\n", line);
	}
}

int
client_outcome(int r, struct api_reply *reply)
{
	if (r == 0 && reply->result == NULL)
		r = -EREMOTEIO;
	if (r == 0 || r == -ECANCELED)
		return r;
	if (reply->console != NULL)
		print_console(reply->console);
	complain("%s", reply->message);
	return r;
}

int
client_call(struct client *client, struct buf *request, int send_fd,
    unsigned int want_fds, struct api_reply *reply)
{
	return client_outcome(api_call(&client->api, request, send_fd,
	    want_fds, NULL, NULL, reply), reply);
}

int
client_try(struct client *client, struct buf *request, int send_fd,
    unsigned int want_fds, struct api_reply *reply)
{
	struct progress progress = { .count = 0 };
	int r = api_call(&client->api, request, send_fd, want_fds,
	    isatty(STDERR_FILENO) ? progress_show : NULL, &progress, reply);

	progress_end(&progress);
	return r;
}

int
client_call_progress(struct client *client, struct buf *request, int send_fd,
    unsigned int want_fds, struct api_reply *reply)
{
	return client_outcome(client_try(client, request, send_fd, want_fds,
	    reply), reply);
}

int
client_result(const struct client *client, int r)
{
	if (r == 0)
		return EXIT_OK;
	if (r == -EPROTO)
		complain("%s: the daemon's answer breaks the protocol; is it "
		    "of another version? (banger doctor)",
		    client->command->name);
	else
		complain("%s: writing the output: %s", client->command->name,
		    strerror(-r));
	return client->command->failure;
}

static int
dispatch(struct client *client, char **words)
{
	struct args args;
	char err[ARGS_ERROR];
	size_t used;
	int code;

	client->command = command_find(words, &used);
	if (client->command == NULL) {
		char *help[] = { words[0], NULL };

		if (words[1] != NULL && command_group(words[0]) &&
		    (strcmp(words[1], "--help") == 0 ||
		    strcmp(words[1], "-h") == 0))
			return help_print(help);
		command_unknown(words);
		return EXIT_USAGE;
	}
	if (options_parse(&client->command->syntax, words + used, &args,
	    err) < 0)
		return usage_error(client, "%s", err);
	if (args_has(&args, FLAG_HELP)) {
		words[used] = NULL;
		return help_print(words);
	}
	code = client->command->run(client, &args);
	api_close(&client->api);
	return code;
}

int
client_main(int argc, char **argv)
{
	struct client client = { .api = API_CLOSED };
	struct args args;
	char err[ARGS_ERROR];
	char version[] = "version";
	char *none[] = { NULL }, *show_version[] = { version, NULL };

	log_init("banger", LOG_WARN);
	if (options_parse(&global_syntax, argc > 0 ? argv + 1 : none, &args,
	    err) < 0) {
		complain("%s", err);
		return EXIT_USAGE;
	}
	client.config_file = args_value(&args, FLAG_CONFIG);
	if (args_has(&args, FLAG_HELP))
		return help_print(none);
	if (args_has(&args, FLAG_VERSION))
		return dispatch(&client, show_version);
	if (args.rest == NULL) {
		complain("no command; `banger help` lists them");
		return EXIT_USAGE;
	}
	return dispatch(&client, args.rest);
}

int
cmd_version(struct client *client, const struct args *args)
{
	if (!args_has(args, FLAG_JSON))
		printf("banger %s\n", BANGER_VERSION);
	else
		printf("{\"version\":\"%s\"}\n", BANGER_VERSION);
	return fflush(stdout) != 0 ? client_result(client, -EIO) : EXIT_OK;
}

int
cmd_daemon(struct client *client, const struct args *args)
{
	return daemon_main(client->config_file, args_has(args, FLAG_EMBEDDED));
}

int
cmd_help(struct client *client, const struct args *args)
{
	char *words[ARGS_WORDS + 1];

	(void)client;
	memcpy(words, args->words, sizeof(words));
	if (help_print(words) < 0) {
		command_unknown(words);
		return EXIT_USAGE;
	}
	return EXIT_OK;
}
