/*
 * See list.h.
 */
#include "base/list.h"

void
list_insert(struct list *where, struct list *node)
{
	node->next = where;
	node->prev = where->prev;
	where->prev->next = node;
	where->prev = node;
}

void
list_remove(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}
