package archtest

import (
	"maps"
	"slices"
	"testing"
)

func load(t *testing.T) *Graph {
	t.Helper()
	g, err := Load("../..")
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *Graph) each(visit func(p *Package, own string)) {
	for _, path := range slices.Sorted(maps.Keys(g.Packages)) {
		if own, ok := g.ours(path); ok {
			visit(g.Packages[path], own)
		}
	}
}

func TestArrows(t *testing.T) {
	g := load(t)
	faults, waiting := Check(g, Arrows())
	for _, f := range faults {
		t.Error(f)
	}
	for _, a := range waiting {
		t.Logf("waiting for its packages: %v (%s)", a.From, a.Because)
	}
	g.each(func(p *Package, own string) {
		sources, err := g.Sources(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range Arrows() {
			if !g.matchesAny(a.From, p.ImportPath, own) || g.matchesAny(a.Except, p.ImportPath, own) {
				continue
			}
			for _, s := range sources {
				for _, f := range CheckCalls(s, a.Calls, a.Because) {
					t.Error(f)
				}
			}
		}
	})
}

func TestPackageComments(t *testing.T) {
	g := load(t)
	g.each(func(p *Package, own string) {
		sources, err := g.Sources(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range CheckComment(own, p.Name, slices.DeleteFunc(sources, func(s *Source) bool { return s.Test })) {
			t.Error(f)
		}
	})
}

func TestCaps(t *testing.T) {
	g := load(t)
	files := 0
	g.each(func(p *Package, _ string) {
		sources, err := g.Sources(p)
		if err != nil {
			t.Fatal(err)
		}
		files += len(sources)
		for _, s := range sources {
			for _, f := range CheckCaps(s) {
				t.Error(f)
			}
		}
	})
	if files == 0 {
		t.Error("no file was looked at")
	}
}

// Names that say nothing, so that anything may be put there.
func TestPackageNamesAreNouns(t *testing.T) {
	vague := []string{"util", "utils", "helper", "helpers", "common", "types", "misc", "shared"}
	load(t).each(func(p *Package, own string) {
		if slices.Contains(vague, p.Name) {
			t.Errorf("%s: %q says nothing of what is in it", own, p.Name)
		}
	})
}
