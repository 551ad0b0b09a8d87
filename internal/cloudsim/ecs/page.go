package ecs

import (
	"cmp"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// mostTokened is how much a page can have that is asked for by a token, mostNumbered
// one that is asked for by its number [D].
const (
	usualPage    = 10
	mostTokened  = 500
	mostNumbered = 100
	mostOfVPC    = 50
	mostTypes    = 10
	mostTagged   = 1000 // of those with some tags [D]
)

// wants a page by token: one of the two says so, and a number is ignored then.
func (t tokened) wanted() bool { return t.NextToken != "" || t.MaxResults != 0 }

// describe is what a listing asks for: a page by token, or all, of which one is cut
// by its number.
func (t tokened) describe(f filters) (cloudsim.Describe, error) {
	d := cloudsim.Describe{Filters: f}
	if !t.wanted() {
		return d, nil
	}
	if t.MaxResults < 0 || t.MaxResults > mostTokened {
		return d, refuse(badValue, "MaxResults")
	}
	d.MaxResults, d.NextToken = cmp.Or(t.MaxResults, usualPage), t.NextToken
	return d, nil
}

// cut is the page of that number.
func cut[T any](n numbered, most int, all []T) ([]T, numberedPage, error) {
	number, size := cmp.Or(n.PageNumber, 1), cmp.Or(n.PageSize, usualPage)
	switch {
	case number < 1:
		return nil, numberedPage{}, refuse(badValue, "PageNumber")
	case size < 1 || size > most:
		return nil, numberedPage{}, refuse(badValue, "PageSize")
	}
	said := numberedPage{PageNumber: number, PageSize: size, TotalCount: len(all)}
	first := min((number-1)*size, len(all))
	return all[first:min(first+size, len(all))], said, nil
}
