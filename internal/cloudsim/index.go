package cloudsim

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// A key is a filter's name and a value that finds interfaces without looking
// at all of them.
type key struct{ name, value string }

// An index is the interfaces that have a value now.
type index map[key]map[*eni]struct{}

func (x index) remove(e *eni) {
	for _, k := range e.keys {
		if delete(x[k], e); len(x[k]) == 0 {
			delete(x, k)
		}
	}
	e.keys = nil
}

// indexed are the filters that have keys; tag:<key> has too.
var indexed = map[string]bool{
	"subnet-id": true, "group-id": true, "mac-address": true,
	"private-ip-address": true, "addresses.private-ip-address": true, "ipv6-addresses.ipv6-address": true,
	"attachment.instance-id": true, "attachment.attachment-id": true,
	"association.public-ip": true, "addresses.association.public-ip": true,
	"association.allocation-id": true, "association.association-id": true,
}

// reindex brings the index up to what an interface is now.
func (c *Cloud) reindex(e *eni) {
	var keys []key
	for name := range indexed {
		for _, value := range interfaceFilters[name](&e.now) {
			keys = append(keys, key{name, value})
		}
	}
	for tag, value := range e.now.Tags {
		keys = append(keys, key{"tag:" + tag, value})
	}
	before := e.keys // most stay, so that only what differs is touched
	e.keys = slices.DeleteFunc(before, func(k key) bool { return slices.Contains(keys, k) })
	fresh := slices.DeleteFunc(slices.Clone(keys), func(k key) bool { return c.index.has(k, e) })
	c.index.remove(e)
	e.keys = keys
	for _, k := range fresh {
		if c.index[k] == nil {
			c.index[k] = map[*eni]struct{}{}
		}
		c.index[k][e] = struct{}{}
	}
}

func (x index) has(k key, e *eni) bool {
	_, ok := x[k][e]
	return ok
}

// narrow finds the interfaces that one of the filters lets through now, by the
// filter that lets the fewest; ok is that there is one with an index.
func (x index) narrow(filters []Filter) (few []map[*eni]struct{}, ok bool) {
	fewest := 0
	for _, f := range filters {
		if !indexed[f.Name] && !strings.HasPrefix(f.Name, "tag:") {
			continue
		}
		var sets []map[*eni]struct{}
		sum, wildcard := 0, false
		for _, v := range f.Values {
			wildcard = wildcard || wild(v)
			sets = append(sets, x[key{f.Name, v}])
			sum += len(x[key{f.Name, v}])
		}
		if !wildcard && (!ok || sum < fewest) {
			few, fewest, ok = sets, sum, true
		}
	}
	return few, ok
}

// candidates are the interfaces that d may be about, as a reader sees them.
func (t *turn) candidates(d Describe) []numbered[Interface] {
	c, at := t.c, t.sees()
	var all []numbered[Interface]
	look := func(e *eni) {
		if seen := e.at(at); seen != nil {
			all = append(all, numbered[Interface]{e.n, seen.ID, seen})
		}
	}
	ids := d.IDs
	if len(ids) == 0 {
		ids = d.exact("network-interface-id")
	}
	if len(ids) > 0 {
		for _, id := range ids {
			if e := cmp.Or(c.enis[id], c.ghosts[id]); e != nil {
				look(e)
			}
		}
		return all
	}
	met := c.recent.since(at)
	for e := range met {
		look(e)
	}
	sets, narrowed := c.index.narrow(d.Filters)
	if !narrowed {
		for _, e := range c.enis {
			if !met[e] {
				look(e)
			}
		}
		return all
	}
	for _, set := range sets {
		for e := range set {
			if !met[e] {
				met[e] = true
				look(e)
			}
		}
	}
	return all
}

func yes(b bool) []string { return []string{strconv.FormatBool(b)} }
