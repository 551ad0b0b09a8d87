package keyed

// turns are the keys that wait for a worker. The groups take turns, and within
// one the oldest is first.
type turns struct {
	of    map[string][]string // by group; none is empty
	order []string            // of the groups
	len   int
}

func (t *turns) push(group, key string) {
	if len(t.of[group]) == 0 {
		t.order = append(t.order, group)
	}
	t.of[group] = append(t.of[group], key)
	t.len++
}

// pop takes the next key; there must be one.
func (t *turns) pop() string {
	group := t.order[0]
	t.order = t.order[1:]
	key, rest := t.of[group][0], t.of[group][1:]
	if len(rest) > 0 {
		t.of[group] = rest
		t.order = append(t.order, group)
	} else {
		delete(t.of, group)
	}
	t.len--
	return key
}
