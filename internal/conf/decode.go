package conf

import (
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxItems bounds a list, so that no check of pairs takes long.
const maxItems = 4096

// A field of a struct is told by its tag: `yaml:"name"`, or with ",required". The one
// that is `yaml:"-"` is not the file's.
type field struct {
	name     string
	required bool
	index    int
}

func fieldsOf(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		name, option, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		if name != "-" {
			fields = append(fields, field{name: name, required: option == "required", index: i})
		}
	}
	return fields
}

// under is the path of a struct's field or of a map's key. A name that could
// not be told from the path, or could speak to a terminal, is quoted.
func under(path, name string) string {
	plain := name != "" && len(name) <= 64 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == ""
	switch {
	case !plain:
		return path + "[" + quote(name) + "]"
	case path == "":
		return name
	}
	return path + "." + name
}

// item is the path of a list's item.
func item(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// quote keeps hostile text from speaking to a terminal, and short.
func quote(s string) string {
	if len(s) > 40 {
		return strconv.Quote(s[:40]) + "…"
	}
	return strconv.Quote(s)
}

// decode takes a node over into v. A fault marks the field as bad and leaves
// the rest to go on, so that all faults are found.
func (d *doc) decode(n *yaml.Node, v reflect.Value, path string) {
	switch {
	case n.Kind == yaml.AliasNode:
		d.reject(path, "YAML aliases are not supported; write the value out")
		return
	case n.Anchor != "":
		d.reject(path, "YAML anchors are not supported; write the value out where it is needed")
		return
	case n.Style&yaml.TaggedStyle != 0:
		d.reject(path, "YAML tags are not supported; write the value alone")
		return
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null":
		d.reject(path, "has no value; give one, or leave the field out")
		return
	}
	if known, ok := d.decodeKnown(n, v, path); known {
		if !ok {
			v.SetZero()
		}
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.decode(n, v.Elem(), path)
	case reflect.Struct:
		d.decodeStruct(n, v, path)
	case reflect.Slice:
		d.decodeList(n, v, path)
	case reflect.Map:
		d.decodeMap(n, v, path)
	default:
		d.decodeScalar(n, v, path)
	}
}

func (d *doc) decodeStruct(n *yaml.Node, v reflect.Value, path string) {
	setDefaults(v)
	if n.Kind != yaml.MappingNode {
		d.reject(path, "want fields, got %s", describe(n))
		return
	}
	fields := fieldsOf(v.Type())
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	var unknown []string
	for key, value := range d.pairs(n, path) {
		if i := slices.Index(names, key); i >= 0 {
			d.decode(value, v.Field(fields[i].index), under(path, key))
		} else {
			unknown = append(unknown, key)
		}
	}
	for _, key := range unknown {
		d.reject(under(path, key), "unknown field; %s", didYouMean(key, names))
		// Its likely meaning is not missing: it is spelled wrong.
		if d.more > 0 {
			continue // nobody reads what is missing
		}
		if meant := nearest(key, names); meant != "" && !d.given(under(path, meant)) {
			d.bad[under(path, meant)] = true
		}
	}
	for _, f := range fields {
		if f.required && !d.given(under(path, f.name)) {
			d.fault(under(path, f.name), "is missing")
			d.bad[under(path, f.name)] = true
		}
	}
}

// pairs yields the keys and values of a mapping in the file's order, and notes
// where each key stands. Keys that are no text, or given twice, are faults.
func (d *doc) pairs(n *yaml.Node, path string) iter.Seq2[string, *yaml.Node] {
	return func(yield func(string, *yaml.Node) bool) {
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			switch {
			case key.Kind == yaml.AliasNode, key.Anchor != "", key.Style&yaml.TaggedStyle != 0:
				d.note(key.Line, path, "YAML aliases, anchors and tags are not supported; want a plain name before the colon")
				continue
			case key.Kind != yaml.ScalarNode, key.ShortTag() != "!!str" && key.ShortTag() != "!!merge":
				d.note(key.Line, path, "want a name before the colon, got %s", describe(key))
				continue
			}
			at := under(path, key.Value)
			if d.given(at) {
				d.note(key.Line, at, "is given already on line %d", d.lines[at])
				continue
			}
			d.lines[at] = key.Line
			if !yield(key.Value, n.Content[i+1]) {
				return
			}
		}
	}
}

func (d *doc) decodeList(n *yaml.Node, v reflect.Value, path string) {
	switch {
	case n.Kind != yaml.SequenceNode:
		d.reject(path, "want a list, got %s", describe(n))
		return
	case len(n.Content) > maxItems:
		d.reject(path, "%d items, at most %d", len(n.Content), maxItems)
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, c := range n.Content {
		d.lines[item(path, i)] = c.Line
		d.decode(c, v.Index(i), item(path, i))
	}
}

func (d *doc) decodeMap(n *yaml.Node, v reflect.Value, path string) {
	switch {
	case n.Kind != yaml.MappingNode:
		d.reject(path, "want names with their values, got %s", describe(n))
		return
	case len(n.Content)/2 > maxItems:
		d.reject(path, "%d names, at most %d", len(n.Content)/2, maxItems)
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for key, value := range d.pairs(n, path) {
		elem := reflect.New(v.Type().Elem()).Elem()
		empty := value.Kind == yaml.ScalarNode && value.Tag == "!!null" && value.Style&yaml.TaggedStyle == 0 && value.Anchor == ""
		if !empty || elem.Kind() != reflect.Struct { // "node1:" alone is a node with nothing to say of it
			d.decode(value, elem, under(path, key))
		}
		v.SetMapIndex(reflect.ValueOf(key), elem)
	}
}

// describe says what stands there instead of what was wanted.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "fields"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "a YAML alias"
	}
	switch n.ShortTag() {
	case "!!int", "!!float":
		return "the number " + clip(n.Value)
	case "!!timestamp":
		return "the date " + clip(n.Value)
	case "!!bool":
		return n.Value
	case "!!null":
		return "nothing"
	}
	return fmt.Sprintf("the text %s", quote(n.Value))
}

// clip shortens a number or date, which have no bytes that need quoting.
func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}
