package conf

import (
	"cmp"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/nic"
)

// A shown field is one of a config file, as docs/config.md has it.
type shown struct{ path, fallback string }

// required is what stands in the place of a default that there cannot be.
const required = "required"

// shownIn are all fields in a struct that is a part of a file, with what they
// are when the file does not name them.
func shownIn(v reflect.Value, path string) []shown {
	var all []shown
	for i := range v.NumField() {
		name, option, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		if name == "-" {
			continue
		}
		at := under(path, name)
		f := shown{path: at, fallback: fallback(v.Field(i))}
		if option == required {
			f.fallback = required
		}
		all = append(all, f)
		if ours(v.Field(i).Type()) {
			all = append(all, shownIn(v.Field(i), at)...) // its defaults may be this struct's to say
		} else {
			all = append(all, shownBelow(v.Field(i).Type(), at)...)
		}
	}
	return all
}

// shownBelow are the fields of what a field holds: of itself, of the items of a list,
// of the values of a map, which have the name NAME.
func shownBelow(t reflect.Type, path string) []shown {
	switch {
	case t.Kind() == reflect.Pointer:
		return shownBelow(t.Elem(), path)
	case t.Kind() == reflect.Slice:
		return shownBelow(t.Elem(), path+"[]")
	case t.Kind() == reflect.Map:
		return shownBelow(t.Elem(), under(path, "NAME"))
	case !ours(t):
		return nil
	}
	v := reflect.New(t).Elem()
	setDefaults(v)
	return shownIn(v, path)
}

// ours says whether a type has fields of the file, and is not a value such as a
// prefix.
func ours(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t.PkgPath() == reflect.TypeFor[shown]().PkgPath()
}

func fallback(v reflect.Value) string {
	if d, ok := v.Interface().(nic.Duration); ok {
		return strings.Replace(strings.Replace(d.String(), "m0s", "m", 1), "h0m", "h", 1) // 1h, not 1h0m0s
	}
	switch v.Kind() {
	case reflect.String:
		return cmp.Or(v.String(), "none")
	case reflect.Bool, reflect.Int:
		return fmt.Sprint(v.Interface())
	}
	return "" // the page says it in words
}

// row is one of the page's tables: | `path` | meaning | default |.
var row = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (.+) \\| (.*) \\|$")

// Every field of both files has one row in docs/config.md, with its default, and
// there is no row of anything else.
func TestFieldsAreDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/config.md")
	if err != nil {
		t.Fatal(err)
	}
	controller, agent, ok := strings.Cut(string(text), "\n## agent.yaml\n")
	if !ok {
		t.Fatal("docs/config.md has no section agent.yaml")
	}
	for file, c := range map[string]struct {
		text   string
		fields []shown
	}{
		"nicferryd.yaml": {controller, shownBelow(reflect.TypeFor[controllerFile](), "")},
		"agent.yaml":     {agent, shownBelow(reflect.TypeFor[agentFile](), "")},
	} {
		rows := map[string]string{}
		for _, m := range row.FindAllStringSubmatch(c.text, -1) {
			if _, twice := rows[m[1]]; twice {
				t.Errorf("%s: %s has two rows", file, m[1])
			}
			rows[m[1]] = strings.Trim(m[3], "`")
		}
		for _, f := range c.fields {
			said, ok := rows[f.path]
			switch {
			case !ok:
				t.Errorf("%s: docs/config.md has no row | `%s` | meaning | %s |", file, f.path, f.fallback)
			case f.fallback != "" && said != f.fallback && !(f.fallback == "none" && said != required):
				t.Errorf("%s: the default of %s is said to be %q, and is %q", file, f.path, said, f.fallback)
			}
		}
		for path := range rows {
			if !slices.ContainsFunc(c.fields, func(f shown) bool { return f.path == path }) {
				t.Errorf("%s: docs/config.md has a row of %s, which is no field", file, path)
			}
		}
	}
}
