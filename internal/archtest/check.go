package archtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Check returns what in the graph breaks the table, a line each, and the rows
// that wait for their packages to be written.
func Check(g *Graph, table []Arrow) (faults []string, waiting []Arrow) {
	paths := slices.Sorted(maps.Keys(g.Packages))
	for _, arrow := range table {
		found := false
		for _, path := range paths {
			own, ok := g.ours(path)
			if !ok || !g.matchesAny(arrow.From, path, own) || g.matchesAny(arrow.Except, path, own) {
				continue
			}
			found = true
			faults = append(faults, g.checkOne(arrow, path, own)...)
		}
		if !found {
			waiting = append(waiting, arrow)
		}
	}
	return faults, waiting
}

func (g *Graph) checkOne(arrow Arrow, from, own string) (faults []string) {
	look := func(to string, way []string) {
		if g.matchesAny(arrow.To, to, own) && !g.matchesAny(arrow.Allow, to, own) {
			faults = append(faults, fmt.Sprintf("%s may not import %s: %s (%s)",
				own, g.short(to), arrow.Because, g.way(way)))
		}
		if p := g.Packages[to]; arrow.Cgo && p != nil && !p.Standard && len(p.CgoFiles) > 0 {
			faults = append(faults, fmt.Sprintf("%s may not link C, as %s does: %s (%s)",
				own, g.short(to), arrow.Because, g.way(way)))
		}
	}
	if arrow.Through || arrow.Cgo {
		g.linked(from, look)
	} else {
		for _, to := range g.Packages[from].Imports {
			look(to, []string{from, to})
		}
	}
	return faults
}

func (g *Graph) way(way []string) string {
	var names []string
	for _, path := range way {
		names = append(names, g.short(path))
	}
	return strings.Join(names, " → ")
}

func (g *Graph) short(path string) string {
	if own, ok := g.ours(path); ok {
		return own
	}
	return path
}

// matchesAny tells if a package is in one of the sets. from is the importer,
// below the module, for siblings.
func (g *Graph) matchesAny(patterns []string, path, from string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		own, ours := g.ours(path)
		standard := g.Packages[path] != nil && g.Packages[path].Standard
		switch pattern {
		case "module":
			return ours
		case "std":
			return standard
		case "third":
			return !ours && !standard && path != "C"
		case "siblings":
			return ours && sibling(own, from)
		}
		if ours {
			return match(pattern, own)
		}
		return match(pattern, path)
	})
}

// sibling tells if two paths have the same first element and another second.
func sibling(a, b string) bool {
	x, y := strings.Split(a, "/"), strings.Split(b, "/")
	return len(x) > 1 && len(y) > 1 && x[0] == y[0] && x[1] != y[1]
}

// match holds a path against a pattern, element by element.
func match(pattern, path string) bool {
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	for i, element := range want {
		switch {
		case element == "..." && i == len(want)-1:
			return true
		case i >= len(got):
			return false
		case element != "*" && element != got[i]:
			return false
		}
	}
	return len(want) == len(got)
}
