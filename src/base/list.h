/*
 * A doubly linked ring whose links are members of what is linked: nothing is
 * allocated, and an element leaves its list knowing only itself.
 */
#ifndef BANGER_BASE_LIST_H
#define BANGER_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev;
};

/* The object of TYPE whose MEMBER is NODE. */
#define list_entry(node, type, member) \
	((type *)(void *)((char *)(node) - offsetof(type, member)))

/* Visits every element; the one visited may be removed in the body. */
#define list_each(node, following, head) \
	for ((node) = (head)->next, (following) = (node)->next; \
	    (node) != (head); \
	    (node) = (following), (following) = (node)->next)

/* Makes HEAD an empty list, or NODE an element of none. */
static inline void
list_init(struct list *head)
{
	head->next = head->prev = head;
}

static inline bool
list_empty(const struct list *head)
{
	return head->next == head;
}

/*
 * Links NODE in front of WHERE: at the end when WHERE is the head. This and
 * list_remove are not inline: gcc's analyzer holds an object for leaked when it
 * can see that only a pointer into its middle is left, which is what a list is
 * made of.
 */
void	 list_insert(struct list *where, struct list *node);

/* Takes NODE out of its list; harmless when it is in none. */
void	 list_remove(struct list *node);

#endif
