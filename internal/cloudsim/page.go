package cloudsim

import (
	"encoding/base64"
	"fmt"
	"hash/fnv"
)

// A Page is a part of what was asked for.
type Page[T any] struct {
	Items []T
	// NextToken asks for the next one; empty at the end.
	NextToken string
}

// cut returns the page of all that d asks for. A token names the last resource
// of the page before, so that what comes and goes meanwhile shifts nothing, and
// the question, which must be the same.
func cut[T any](all []numbered[T], d Describe, emptyPages bool) (Page[T], error) {
	if d.Shown > 0 {
		all = all[:min(len(all), d.Shown)]
	}
	after, empty := 0, false
	if d.NextToken != "" {
		var question uint64
		text, err := base64.RawURLEncoding.DecodeString(d.NextToken)
		if err == nil {
			_, err = fmt.Sscanf(string(text), "%d %t %d", &after, &empty, &question)
		}
		if err != nil || question != d.question() {
			return Page[T]{}, refuse("page.token", d.NextToken)
		}
		for len(all) > 0 && all[0].n <= after {
			all = all[1:]
		}
	}
	if empty {
		return Page[T]{NextToken: d.token(after, false)}, nil
	}
	size := len(all)
	if d.MaxResults > 0 {
		size = min(size, d.MaxResults)
	}
	p := Page[T]{Items: make([]T, 0, size)}
	for _, i := range all[:size] {
		p.Items = append(p.Items, *i.v)
	}
	if size < len(all) {
		p.NextToken = d.token(all[size-1].n, emptyPages && d.NextToken == "")
	}
	return p, nil
}

// token says that the next page begins after the resource of number n, and
// whether an empty one comes first.
func (d Describe) token(n int, empty bool) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %t %d", n, empty, d.question()))
}

// question is what is asked for, but for the place in it.
func (d Describe) question() uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%q %q", d.IDs, d.Filters)
	return h.Sum64()
}
