package cloudsim

import (
	"slices"
	"strings"
)

// A Filter matches what has one of the values, in which * and ? stand for any
// characters, and \ takes that from the one after it.
type Filter struct {
	Name   string
	Values []string
}

// A filterTable says what a resource has under the name of a filter.
type filterTable[T any] map[string]func(*T) []string

func one(value string) []string {
	if value == "" {
		return nil
	}
	return []string{value}
}

// matcher says what all filters let through; one that nobody knows is refused.
func (l listing[T]) matcher(filters []Filter) (func(*T) bool, error) {
	var tests []func(*T) bool
	for _, f := range filters {
		values, err := l.valuesOf(f.Name)
		if err != nil {
			return nil, err
		}
		tests = append(tests, func(v *T) bool {
			for _, has := range values(v) {
				if slices.ContainsFunc(f.Values, func(want string) bool { return like(want, has) }) {
					return true
				}
			}
			return false
		})
	}
	return func(v *T) bool {
		for _, test := range tests {
			if !test(v) {
				return false
			}
		}
		return true
	}, nil
}

func (l listing[T]) valuesOf(name string) (func(*T) []string, error) {
	if values, ok := l.filters[name]; ok {
		return values, nil
	}
	if l.tags == nil {
		return nil, refuse("filter.unknown", name)
	}
	if tag, ok := strings.CutPrefix(name, "tag:"); ok {
		return func(v *T) []string {
			if value, ok := l.tags(v)[tag]; ok {
				return []string{value}
			}
			return nil
		}, nil
	}
	if name == "tag-key" {
		return func(v *T) []string {
			var keys []string
			for k := range l.tags(v) {
				keys = append(keys, k)
			}
			return keys
		}, nil
	}
	return nil, refuse("filter.unknown", name)
}

// wild says whether a pattern has wildcards.
func wild(pattern string) bool { return strings.ContainsAny(pattern, `*?\`) }

// like says whether text fits the pattern.
func like(pattern, text string) bool {
	if !wild(pattern) {
		return pattern == text
	}
	// star is where the last * stood, and from the text that it has not eaten yet.
	p, t, star, from := 0, 0, -1, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, t
			p++
			continue
		case p < len(pattern) && pattern[p] == '?':
			p++
			t++
			continue
		case p+1 < len(pattern) && pattern[p] == '\\' && pattern[p+1] == text[t]:
			p += 2
			t++
			continue
		case p < len(pattern) && pattern[p] != '\\' && pattern[p] == text[t]:
			p++
			t++
			continue
		case star >= 0:
			from++
			p, t = star+1, from
			continue
		}
		return false
	}
	return strings.Trim(pattern[p:], "*") == ""
}
