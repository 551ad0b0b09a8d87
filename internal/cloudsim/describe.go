package cloudsim

import (
	"cmp"
	"context"
	"slices"
	"strings"
)

// A Describe asks for resources.
type Describe struct {
	// IDs are those asked for; any that is missing fails the whole call.
	IDs []string
	// Filters must all match.
	Filters []Filter
	// MaxResults is the size of a page, 5 to 1000; 0 is all at once. Not
	// together with IDs.
	MaxResults int
	// NextToken is where the last page ended.
	NextToken string
	// Shown is how many are listed at most, on all pages together; 0 is all.
	Shown int
}

// A listing is what a describing call lists.
type listing[T any] struct {
	api     string
	most    int // on a page; 0 is 1000
	filters filterTable[T]
	tags    func(*T) Tags // nil where there are none
	// all are candidates for what the filters let through.
	all func(*turn) []numbered[T]
	// missing is what to say of an id that nothing has.
	missing func(id string) error
}

// A numbered resource stands at its place in the order of making. What it
// points to is only read: a page has copies.
type numbered[T any] struct {
	n  int
	id string
	v  *T
}

// every has all resources of a kind for candidates, each as it is shown.
func every[R, T any](all map[string]R, show func(R) numbered[T]) func(*turn) []numbered[T] {
	return func(*turn) []numbered[T] {
		list := make([]numbered[T], 0, len(all))
		for _, r := range all {
			list = append(list, show(r))
		}
		return list
	}
}

// describe lists by ids or filters, and page by page.
func describe[T any](ctx context.Context, c *Cloud, call Call, d Describe, l listing[T]) (Page[T], error) {
	o := op{
		api: l.api, reads: true, ids: asked(d),
		plain: len(d.IDs) == 0 && len(d.Filters) == 0 && d.MaxResults == 0,
	}
	return serve(ctx, c, call, o, func(t *turn) (Page[T], error) {
		if err := d.check(t, cmp.Or(l.most, 1000)); err != nil {
			return Page[T]{}, err
		}
		match, err := l.matcher(d.Filters)
		if err != nil {
			return Page[T]{}, err
		}
		all := l.all(t)
		if len(d.IDs) > 0 {
			if all, err = pick(all, d.IDs, l.missing); err != nil {
				return Page[T]{}, err
			}
		}
		all = slices.DeleteFunc(all, func(i numbered[T]) bool { return !match(i.v) })
		slices.SortFunc(all, func(a, b numbered[T]) int { return cmp.Compare(a.n, b.n) })
		return cut(all, d, c.opts.EmptyPages)
	})
}

func (d Describe) check(t *turn, most int) error {
	if len(d.IDs) > 0 && d.MaxResults != 0 && (!t.c.opts.Lenient || t.strict()) {
		return refuse("combination", "The parameter MaxResults cannot be used with the parameter for ids.")
	}
	if d.MaxResults != 0 && (d.MaxResults < t.c.opts.SmallestPage || d.MaxResults > most) {
		return refuse("page.size", d.MaxResults, t.c.opts.SmallestPage, most)
	}
	return nil
}

// pick are those of the ids, or what is missing.
func pick[T any](all []numbered[T], ids []string, missing func(string) error) ([]numbered[T], error) {
	by := make(map[string]numbered[T], len(all))
	for _, i := range all {
		by[i.id] = i
	}
	var some []numbered[T]
	seen := map[string]bool{}
	for _, id := range ids {
		i, ok := by[id]
		if !ok {
			return nil, missing(id)
		}
		if !seen[id] {
			some = append(some, i)
		}
		seen[id] = true
	}
	return some, nil
}

// asked are the ids and the filters' values, for faults that name a resource.
func asked(d Describe) []string {
	ids := slices.Clone(d.IDs)
	for _, f := range d.Filters {
		for _, v := range f.Values {
			ids = append(ids, v)
			if len(f.Name) > 4 && f.Name[:4] == "tag:" {
				ids = append(ids, f.Name+"="+v)
			}
		}
	}
	return ids
}

// exact are the values of the filter of that name, each once, if nothing else can pass
// it: there is no wildcard in them.
func (d Describe) exact(name string) []string {
	at := slices.IndexFunc(d.Filters, func(f Filter) bool { return f.Name == name })
	if at < 0 || slices.ContainsFunc(d.Filters[at].Values, func(v string) bool { return strings.ContainsAny(v, `*?\\`) }) {
		return nil
	}
	return slices.Compact(slices.Sorted(slices.Values(d.Filters[at].Values)))
}
