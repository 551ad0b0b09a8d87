package archtest

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// The caps, in lines. What has to be scrolled through is read less.
const (
	fileCap     = 500
	funcCap     = 70
	testFuncCap = 100
)

// A Source is one parsed file.
type Source struct {
	Path  string // as it is shown
	Test  bool
	Lines int
	fset  *token.FileSet
	file  *ast.File
}

// ReadSource parses a file.
func ReadSource(path, shown string) (*Source, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s := &Source{Path: shown, Test: strings.HasSuffix(path, "_test.go"), Lines: bytes.Count(text, []byte("\n")), fset: token.NewFileSet()}
	s.file, err = parser.ParseFile(s.fset, path, text, parser.ParseComments|parser.SkipObjectResolution)
	return s, err
}

// Sources reads all files of a package, tests too.
func (g *Graph) Sources(p *Package) ([]*Source, error) {
	var all []*Source
	for _, name := range slices.Concat(p.GoFiles, p.CgoFiles, p.TestGoFiles, p.XTestGoFiles) {
		s, err := ReadSource(filepath.Join(p.Dir, name), g.short(p.ImportPath)+"/"+name)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// CheckCaps returns a line for each file and function that is too long.
func CheckCaps(s *Source) (faults []string) {
	if s.Lines > fileCap {
		faults = append(faults, fmt.Sprintf("%s has %d lines, more than %d: split it by role", s.Path, s.Lines, fileCap))
	}
	limit := funcCap
	if s.Test {
		limit = testFuncCap
	}
	for _, decl := range s.file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		first, last := s.fset.Position(f.Pos()).Line, s.fset.Position(f.End()).Line
		if n := last - first + 1; n > limit {
			faults = append(faults, fmt.Sprintf("%s:%d: %s has %d lines, more than %d: name its parts", s.Path, first, f.Name.Name, n, limit))
		}
	}
	return faults
}

// CheckComment returns what is wrong with a package's comment: there must be
// one, in one file, that begins as Go's tools expect.
func CheckComment(own, name string, sources []*Source) (faults []string) {
	start := "Package " + name + " "
	if name == "main" {
		start = "Command " + filepath.Base(own) + " "
	}
	var in []string
	for _, s := range sources {
		if s.file.Doc == nil {
			continue
		}
		in = append(in, s.Path)
		if !strings.HasPrefix(s.file.Doc.Text(), start) {
			faults = append(faults, fmt.Sprintf("%s: the package comment must begin with %q", s.Path, start))
		}
	}
	switch len(in) {
	case 0:
		faults = append(faults, fmt.Sprintf("%s has no package comment: say in one sentence what it is", own))
	case 1:
	default:
		faults = append(faults, fmt.Sprintf("%s has several package comments, in %s: keep one", own, strings.Join(in, ", ")))
	}
	return faults
}

// CheckCalls returns a line for each use of a forbidden function outside tests.
func CheckCalls(s *Source, calls []string, because string) (faults []string) {
	if s.Test || len(calls) == 0 {
		return nil
	}
	names := map[string]string{} // of imported packages in this file
	for _, spec := range s.file.Imports {
		path, _ := strconv.Unquote(spec.Path.Value)
		name := path[strings.LastIndexByte(path, '/')+1:]
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = path
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		x, ok := sel.X.(*ast.Ident)
		if !ok {
			return true
		}
		if path := names[x.Name]; path != "" && slices.Contains(calls, path+"."+sel.Sel.Name) {
			faults = append(faults, fmt.Sprintf("%s:%d: may not use %s.%s: %s",
				s.Path, s.fset.Position(sel.Pos()).Line, path, sel.Sel.Name, because))
		}
		return true
	})
	return faults
}
