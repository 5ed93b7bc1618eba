/*
 * See dns.h. Both ends check what the other says: the process faces whoever can
 * send a packet, and the worker whoever can be its client.
 */
#include "worker/dns.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "privsep/check.h"
#include "privsep/log.h"
#include "worker/dns_zone.h"
#include "worker/machine.h"
#include "worker/sandbox.h"

/* What the process asks the worker, by name or, without one, by address. */
struct question {
	uint32_t ipv4;
	char name[NAME_BYTES];
};

struct answer {
	uint32_t ipv4;			/* 0: none */
	uint32_t whose;			/* enum dns_whose */
	char name[NAME_BYTES];
};

/* ---- the process ---- */

/* Its place for the socket that the worker is behind. */
enum { NAMES_SOCK = 3, NAMES_UDP, NAMES_FDS_END };

/* Without a worker there is nothing to say. */
static void
ask(const struct question *question, struct answer *answer)
{
	if (send(NAMES_SOCK, question, sizeof(*question), MSG_NOSIGNAL) !=
	    (ssize_t)sizeof(*question) ||
	    recv(NAMES_SOCK, answer, sizeof(*answer), 0) !=
	    (ssize_t)sizeof(*answer))
		_exit(0);
	answer->name[NAME_BYTES - 1] = '\0';
}

static uint32_t
ask_address(void *arg UNUSED, const char *name)
{
	struct question question = { .ipv4 = 0 };
	struct answer answer;

	if (check_host_label(name) < 0)
		return 0;
	memcpy(question.name, name, strlen(name));
	ask(&question, &answer);
	return answer.ipv4;
}

static enum dns_whose
ask_name(void *arg UNUSED, uint32_t ipv4, char name[NAME_BYTES])
{
	const struct question question = { .ipv4 = ipv4 };
	struct answer answer;

	ask(&question, &answer);
	memcpy(name, answer.name, NAME_BYTES);
	return answer.whose == DNS_OF_VM && check_host_label(name) == 0 ?
	    DNS_OF_VM : answer.whose == DNS_NOBODYS ? DNS_NOBODYS :
	    DNS_NOT_OURS;
}

/* Bound to loopback, so that only this host can ask; still, ask who does. */
static bool
is_local(const struct sockaddr_in *from)
{
	return from->sin_family == AF_INET && from->sin_port != 0 &&
	    ntohl(from->sin_addr.s_addr) >> 24 == 127;
}

static _Noreturn void
serve(void)
{
	static const struct dns_zone zone = { NULL, ask_address, ask_name };

	for (;;) {
		struct sockaddr_in from = { .sin_family = AF_UNSPEC };
		socklen_t from_len = sizeof(from);
		uint8_t packet[DNS_QUERY_MAX];
		struct dns_reply reply;
		/* MSG_TRUNC: the packet's length, even if it is longer. */
		ssize_t n = recvfrom(NAMES_UDP, packet, sizeof(packet),
		    MSG_TRUNC, (struct sockaddr *)&from, &from_len);
		size_t len;

		if (n < 0 && errno != EINTR)
			fatal("socket: %s", strerror(errno));
		if (n < 0 || (size_t)n > sizeof(packet) || !is_local(&from))
			continue;
		len = dns_answer(&zone, packet, (size_t)n, &reply);
		/* One that is not there any more asks no more. */
		if (len > 0)
			(void)sendto(NAMES_UDP, reply.bytes, len,
			    MSG_DONTWAIT | MSG_NOSIGNAL,
			    (const struct sockaddr *)&from, sizeof(from));
	}
}

static _Noreturn void
become_names(int udp, int sock)
{
	int fds[] = { sock, udp }, i, r;

	log_init("names", LOG_INFO);
	for (i = 0; i < (int)ARRAY_SIZE(fds); i++)
		fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 64);
	for (i = 0; i < (int)ARRAY_SIZE(fds); i++)
		if (fds[i] < 0 || dup3(fds[i], NAMES_SOCK + i, O_CLOEXEC) < 0)
			fatal("start: %s", strerror(errno));
	if (syscall(SYS_close_range, (unsigned int)NAMES_FDS_END, ~0U, 0U) <
	    0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		fatal("start: %s", strerror(errno));
	r = names_confine();
	if (r < 0)
		fatal("cannot be confined: %s", strerror(-r));
	serve();
}

int
dns_spawn(int udp)
{
	_cleanup_close_ int ours = -1;
	_cleanup_close_ int theirs = -1;
	int sockets[2], type = 0;
	socklen_t len = sizeof(type);
	pid_t pid;

	if (getsockopt(udp, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
	    type != SOCK_DGRAM)
		return -ENOTSOCK;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
	    sockets) < 0)
		return -errno;
	ours = sockets[0];
	theirs = sockets[1];
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		become_names(udp, theirs);
	return steal_fd(&ours);
}

/* ---- the worker's side ---- */

static uint32_t
machine_ipv4(struct worker *w, const char *name)
{
	struct list *node, *following;

	list_each(node, following, &w->machines) {
		const struct machine *m = list_entry(node, struct machine,
		    node);

		if (m->row.state == MACHINE_RUNNING &&
		    strcmp(m->row.name, name) == 0)
			return m->row.ipv4;
	}
	return 0;
}

static bool
same_network(const struct machine_row *row, uint32_t ipv4)
{
	return row->prefix > 0 && row->prefix <= 32 &&
	    ((row->ipv4 ^ ipv4) & UINT32_MAX << (32 - row->prefix)) == 0;
}

static enum dns_whose
machine_of(struct worker *w, uint32_t ipv4, char name[NAME_BYTES])
{
	enum dns_whose whose = DNS_NOT_OURS;
	struct list *node, *following;

	list_each(node, following, &w->machines) {
		const struct machine_row *row = &list_entry(node,
		    struct machine, node)->row;

		if (row->state != MACHINE_RUNNING || !same_network(row, ipv4))
			continue;
		whose = DNS_NOBODYS;
		if (row->ipv4 != ipv4)
			continue;
		memcpy(name, row->name, NAME_BYTES);
		return DNS_OF_VM;
	}
	return whose;
}

static void
on_question(void *arg, uint32_t ready UNUSED)
{
	struct dns *dns = arg;
	struct question question;
	struct answer answer = { .ipv4 = 0 };
	ssize_t n = recv(dns->fd, &question, sizeof(question),
	    MSG_DONTWAIT | MSG_TRUNC);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != (ssize_t)sizeof(question) ||
	    question.name[NAME_BYTES - 1] != '\0') {
		log_warn("names: the process that serves them has ended; "
		    "VMs have none until the daemon is started again");
		dns_stop(dns);
		return;
	}
	if (question.name[0] != '\0')
		answer.ipv4 = machine_ipv4(dns->w, question.name);
	else
		answer.whose = machine_of(dns->w, question.ipv4, answer.name);
	/* It waits for each answer, so that there is room for this one. */
	(void)send(dns->fd, &answer, sizeof(answer),
	    MSG_DONTWAIT | MSG_NOSIGNAL);
}

int
dns_start(struct dns *dns, struct worker *w, int fd)
{
	dns->w = w;
	dns->fd = fd;
	return event_io_start(&w->events, &dns->io, fd, EPOLLIN, on_question,
	    dns);
}

void
dns_stop(struct dns *dns)
{
	if (dns->io.events == NULL)
		return;
	event_io_stop(&dns->io);
	close(dns->fd);
}

void
dns_route(struct worker *w)
{
	int r;

	if (w->config.dns_port == 0)
		return;
	r = mon_resolver_set(&w->mon);
	/* -ENOENT: this host has no resolvectl, which is no fault. */
	if (r < 0 && r != -ENOENT)
		log_warn("names: %s", mon_error(&w->mon, r));
}

void
dns_unroute(struct worker *w)
{
	if (w->config.dns_port != 0 && !w->mon.broken)
		(void)mon_resolver_clear(&w->mon);
}
