package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A mode is one known way to fail, and what nicferry promises against it.
type mode struct {
	ID       string // such as F31 or S7
	Promise  string
	Required bool // a test must prove it; else it is planned
}

var (
	modeID       = regexp.MustCompile(`^[FS][0-9]+$`)
	modesInName  = regexp.MustCompile(`^Test((?:[FS][0-9]+_)+)`)
	failureModes = "docs/failure-modes.tsv"
)

// parseModes reads the list: id, promise and "required" or "planned", with tabs
// between. Lines that begin with # are comments.
func parseModes(text string) ([]mode, error) {
	var modes []mode
	var faults []error
	seen := map[string]bool{}
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimRight(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		cells := strings.Split(line, "\t")
		if len(cells) != 3 || cells[1] == "" || !modeID.MatchString(cells[0]) ||
			(cells[2] != "required" && cells[2] != "planned") {
			faults = append(faults, fmt.Errorf("line %d: want an id such as F31, a promise and required or planned, with tabs between", number))
			continue
		}
		id := canonical(cells[0])
		if seen[id] {
			faults = append(faults, fmt.Errorf("line %d: %s is there twice", number, id))
		}
		seen[id] = true
		modes = append(modes, mode{ID: id, Promise: cells[1], Required: cells[2] == "required"})
	}
	return modes, errors.Join(faults...)
}

// canonical writes an id without leading zeros.
func canonical(id string) string {
	n, _ := strconv.Atoi(id[1:])
	return id[:1] + strconv.Itoa(n)
}

// modesOf returns the modes that a test is named after: TestF57_F58_Renews has two.
func modesOf(test string) []string {
	match := modesInName.FindStringSubmatch(test)
	if match == nil {
		return nil
	}
	var ids []string
	for id := range strings.SplitSeq(strings.TrimSuffix(match[1], "_"), "_") {
		ids = append(ids, canonical(id))
	}
	return ids
}

// A proof is a mode with the top-level tests named after it and their worst result.
type proof struct {
	mode
	Tests  []string
	Result string // pass, fail, skip, or "" if none ran
}

// prove joins the modes with the results, and returns what is missing.
func prove(modes []mode, results map[string]string) (proofs []proof, faults []string) {
	known := map[string]int{}
	for i, m := range modes {
		known[m.ID] = i
		proofs = append(proofs, proof{mode: m})
	}
	for test, end := range results {
		if strings.Contains(test, "/") {
			continue
		}
		for _, id := range modesOf(test) {
			i, ok := known[id]
			if !ok {
				faults = append(faults, fmt.Sprintf("%s is named after %s, which %s does not list", test, id, failureModes))
				continue
			}
			proofs[i].Tests = append(proofs[i].Tests, test)
			proofs[i].Result = worse(proofs[i].Result, end)
		}
	}
	for i := range proofs {
		p := &proofs[i]
		slices.Sort(p.Tests)
		switch {
		case p.Result == failed:
			faults = append(faults, fmt.Sprintf("%s: %s failed", p.ID, strings.Join(p.Tests, " or ")))
		case p.Required && p.Result == skipped:
			faults = append(faults, fmt.Sprintf("%s is required, and %s was skipped", p.ID, strings.Join(p.Tests, " or ")))
		case p.Required && p.Result == "":
			faults = append(faults, fmt.Sprintf("%s is required, and no test named Test%s_… ran", p.ID, p.ID))
		}
	}
	slices.Sort(faults)
	return proofs, faults
}

func printProofs(out io.Writer, proofs []proof) {
	for _, p := range proofs {
		state := p.Result
		if state == "" {
			state = "planned"
			if p.Required {
				state = "MISSING"
			}
		}
		tests := "-"
		if len(p.Tests) > 0 {
			tests = strings.Join(p.Tests, " ")
		}
		fmt.Fprintf(out, "%-4s %-8s %s\n     %8s %s\n", p.ID, state, p.Promise, "", tests)
	}
}

func runFailureModes(root string, out io.Writer) int {
	text, err := os.ReadFile(filepath.Join(root, failureModes))
	if err != nil {
		fmt.Fprintln(out, "failure-modes:", err)
		return 1
	}
	modes, err := parseModes(string(text))
	if err != nil {
		fmt.Fprintf(out, "%s:\n%v\n", failureModes, err)
		return 1
	}
	results, err := loadResults(filepath.Join(root, resultsFile))
	if errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintln(out, "failure-modes: no results here yet; run `make test` first")
		return 1
	}
	if err != nil {
		fmt.Fprintln(out, "failure-modes:", err)
		return 1
	}
	proofs, faults := prove(modes, byName(results))
	printProofs(out, proofs)
	for _, f := range faults {
		fmt.Fprintln(out, "not well:", f)
	}
	proven := 0
	for _, p := range proofs {
		if p.Result == passed {
			proven++
		}
	}
	fmt.Fprintf(out, "%d failure modes: %d proven by tests, %d not, %d faults\n", len(proofs), proven, len(proofs)-proven, len(faults))
	if len(faults) > 0 {
		return 1
	}
	return 0
}
