package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// A Package is what `go list -json` says of one.
type Package struct {
	ImportPath   string
	Name         string
	Dir          string
	Standard     bool
	Imports      []string
	CgoFiles     []string
	GoFiles      []string
	TestGoFiles  []string
	XTestGoFiles []string
}

// A Graph is all packages that the module links or tests, by import path.
type Graph struct {
	Module   string
	Packages map[string]*Package
}

// Load lists the module in dir and all that it depends on. Packages that do not
// compile are listed too, as far as they can be read.
func Load(dir string) (*Graph, error) {
	list := func(args ...string) ([]byte, error) {
		cmd := exec.Command("go", append([]string{"list"}, args...)...)
		cmd.Dir = dir
		// With cgo on, a package shows the C it would bring.
		cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("go list: %w\n%s", err, stderr.String())
		}
		return out, nil
	}
	module, err := list("-m")
	if err != nil {
		return nil, err
	}
	fields := "-json=ImportPath,Name,Dir,Standard,Imports,CgoFiles,GoFiles,TestGoFiles,XTestGoFiles"
	// What is built with libvirt imports more than what is built without.
	out, err := list("-e", "-deps", "-tags=libvirt,libvirt_dlopen", fields, "./...")
	if err != nil {
		return nil, err
	}
	return ReadGraph(strings.TrimSpace(string(module)), bytes.NewReader(out))
}

// ReadGraph reads the output of `go list -json`.
func ReadGraph(module string, in io.Reader) (*Graph, error) {
	g := &Graph{Module: module, Packages: map[string]*Package{}}
	for dec := json.NewDecoder(in); ; {
		var p Package
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return g, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read go list: %w", err)
		}
		g.Packages[p.ImportPath] = &p
	}
}

// ours returns the path below the module, and if it is the module's at all.
func (g *Graph) ours(path string) (string, bool) {
	if path == g.Module {
		return ".", true
	}
	return strings.CutPrefix(path, g.Module+"/")
}

// linked calls visit for all that a package links, itself apart, each once,
// with the way to it. The nearest come first.
func (g *Graph) linked(from string, visit func(path string, way []string)) {
	seen := map[string]bool{from: true}
	for queue := [][]string{{from}}; len(queue) > 0; queue = queue[1:] {
		way := queue[0]
		p := g.Packages[way[len(way)-1]]
		if p == nil || p.Standard {
			continue
		}
		for _, next := range p.Imports {
			if seen[next] {
				continue
			}
			seen[next] = true
			to := append(append([]string{}, way...), next)
			visit(next, to)
			queue = append(queue, to)
		}
	}
}
