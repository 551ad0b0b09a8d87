package conf

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A statement is one of a policy that an example of a cloud has.
type statement struct {
	Sid, Effect      string
	Action, Resource texts
	Condition        map[string]map[string]texts

	file string
}

// texts are one text, or a list of them.
type texts []string

func (t *texts) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		*t = make(texts, 1)
		return json.Unmarshal(data, &(*t)[0])
	}
	return json.Unmarshal(data, (*[]string)(t))
}

// policiesIn are the statements of all policies in a folder, which are so many.
func policiesIn(t *testing.T, folder, version string, policies int) (all []statement) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil || len(files) != policies {
		t.Fatal(files, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		d := json.NewDecoder(bytes.NewReader(data))
		d.DisallowUnknownFields()
		var p struct {
			Version   string
			Statement []statement
		}
		if err := d.Decode(&p); err != nil || p.Version != version {
			t.Fatalf("%s: %v, version %q", file, err, p.Version)
		}
		for _, s := range p.Statement {
			s.file = file
			all = append(all, s)
		}
	}
	return all
}

// ours says whether a statement holds only for what has our tag, or gets it. Whose keys
// have the prefix is the vendor.
func (s statement) ours(prefix string) bool {
	const tag = "Tag/nicferry.io/cluster"
	is := s.Condition["StringEquals"]
	return slices.Equal(is[prefix+"Resource"+tag], texts{"CLUSTER"}) || slices.Equal(is[prefix+"Request"+tag], texts{"CLUSTER"})
}

// callsOf are the actions that a provider calls, by its constants.
func callsOf(t *testing.T, rates string) (all []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), rates, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(v.Names[0].Name, "api") && len(v.Values) == 1 {
			api, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, api)
		}
		return true
	})
	return all
}
