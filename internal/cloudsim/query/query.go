// Package query reads the flat parameters of a cloud's request, such as Tag.2.Key, into structs.
package query

import (
	"encoding"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// deepest is how many dots a parameter's name may have.
const deepest = 8

// A Reason is why a parameter cannot be read.
type Reason string

// The reasons.
const (
	Missing     Reason = "parameter missing"
	Twice       Reason = "parameter given twice"
	BadValue    Reason = "parameter not of its type"
	NotReadable Reason = "parameter's name too deep"
)

// A Fault is a parameter that cannot be read, for a face to refuse in its own words.
type Fault struct {
	Why  Reason
	Name string
	// Value is what stands there, for a BadValue.
	Value string
}

// Error names the parameter.
func (f *Fault) Error() string { return string(f.Why) + ": " + f.Name }

// A Tree is the parameters of a request: "Tag.2.Key" is Key below 2 below Tag.
type Tree struct {
	value string
	set   bool
	below map[string]*Tree
}

// Grow makes a tree of a form's values. A parameter given twice is refused.
func Grow(values url.Values) (*Tree, *Fault) {
	root := &Tree{}
	for name, all := range values {
		if len(all) != 1 {
			return nil, &Fault{Why: Twice, Name: name}
		}
		if strings.Count(name, ".") > deepest {
			return nil, &Fault{Why: NotReadable, Name: name}
		}
		at := root
		for part := range strings.SplitSeq(name, ".") {
			if at.below == nil {
				at.below = map[string]*Tree{}
			}
			if at.below[part] == nil {
				at.below[part] = &Tree{}
			}
			at = at.below[part]
		}
		at.value, at.set = all[0], true
	}
	return root, nil
}

// Take cuts a branch off and returns it, or nil.
func (t *Tree) Take(name string) *Tree {
	branch := t.below[name]
	delete(t.below, name)
	return branch
}

// items are the numbers of the branches 1, 2 … in their order. Some may be left
// out; 0, and what is no number, is no item.
func (t *Tree) items() []string {
	var all []int
	for name := range t.below {
		if n, err := strconv.Atoi(name); err == nil && n > 0 && strconv.Itoa(n) == name {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	names := make([]string, len(all))
	for i, n := range all {
		names[i] = strconv.Itoa(n)
	}
	return names
}

// giveBack puts a branch back of which something was not read.
func (t *Tree) giveBack(name string, branch *Tree) {
	if len(branch.leaves("")) == 0 {
		return
	}
	if t.below == nil {
		t.below = map[string]*Tree{}
	}
	t.below[name] = branch
}

// Leaves are the full names of what is left, in order.
func (t *Tree) Leaves() []string { return t.leaves("") }

// Clear takes all.
func (t *Tree) Clear() { clear(t.below) }

func (t *Tree) leaves(path string) []string {
	var names []string
	if t.set {
		names = append(names, path)
	}
	for _, name := range slices.Sorted(maps.Keys(t.below)) {
		names = append(names, t.below[name].leaves(strings.TrimPrefix(path+"."+name, "."))...)
	}
	return names
}

// Decode cuts what the fields of *into name by their tags `query:"Name"` off the
// tree, with `query:"Name,required"` for those that must be there. A field is a
// string, an int, a bool, what reads itself from a text, a struct, a pointer to one
// of these (nil where it is not given), or a slice of strings or structs. What is
// left in the tree is what no field knows.
func Decode(from *Tree, into any) *Fault {
	return fill(reflect.ValueOf(into).Elem(), from, "")
}

func fill(into reflect.Value, from *Tree, path string) *Fault {
	for i := range into.NumField() {
		field := into.Type().Field(i)
		name, required := strings.CutSuffix(field.Tag.Get("query"), ",required")
		if field.Anonymous {
			if no := fill(into.Field(i), from, path); no != nil {
				return no
			}
			continue
		}
		full := strings.TrimPrefix(path+"."+name, ".")
		if head, last, nested := strings.Cut(name, "."); nested { // a struct of one field
			if outer := from.below[head]; outer != nil {
				if no := pick(into.Field(i), outer, last, full, required); no != nil {
					return no
				}
			}
			continue
		}
		if no := pick(into.Field(i), from, name, full, required); no != nil {
			return no
		}
	}
	return nil
}

// pick reads the branch of that name into a field.
func pick(into reflect.Value, from *Tree, name, full string, required bool) *Fault {
	branch := from.Take(name)
	if required && (branch == nil || branch.set && branch.value == "") {
		return &Fault{Why: Missing, Name: full}
	}
	if branch == nil {
		return nil
	}
	if no := set(into, branch, full); no != nil {
		return no
	}
	from.giveBack(name, branch)
	return nil
}

// set reads a branch into a field, and cuts off what it has read.
func set(into reflect.Value, from *Tree, full string) *Fault {
	if text, ok := into.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if from.set && text.UnmarshalText([]byte(from.value)) != nil {
			return &Fault{Why: BadValue, Name: full, Value: from.value}
		}
		from.set = false
		return nil
	}
	switch into.Kind() {
	case reflect.Struct:
		return fill(into, from, full)
	case reflect.Slice:
		for i, n := range from.items() {
			into.Set(reflect.Append(into, reflect.Zero(into.Type().Elem())))
			if no := pick(into.Index(i), from, n, full+"."+n, false); no != nil {
				return no
			}
		}
		return nil
	case reflect.Pointer:
		into.Set(reflect.New(into.Type().Elem()))
		return set(into.Elem(), from, full)
	}
	if !from.set {
		return nil
	}
	from.set = false
	return scalar(into, from.value, full)
}

func scalar(into reflect.Value, text, full string) *Fault {
	switch into.Kind() {
	case reflect.String:
		into.SetString(text)
		return nil
	case reflect.Int:
		if n, err := strconv.ParseInt(text, 10, 32); err == nil {
			into.SetInt(n)
			return nil
		}
	case reflect.Bool:
		if text == "true" || text == "false" {
			into.SetBool(text == "true")
			return nil
		}
	}
	return &Fault{Why: BadValue, Name: full, Value: text}
}
