package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A claim is a row of the README's status table: what it says, and the tests
// that prove it. None means "not yet".
type claim struct {
	Line  int
	What  string
	Tests []string
}

var (
	statusHeading = regexp.MustCompile(`(?i)^#+\s+status\b`)
	testName      = regexp.MustCompile(`\bTest[A-Z0-9_][A-Za-z0-9_]*(/[A-Za-z0-9_./=-]+)?`)
)

// parseStatus reads the first table below a heading that begins with "Status".
// A row's last column must name tests or say "not yet".
func parseStatus(markdown string) (claims []claim, faults []string) {
	below, inTable, row := false, false, 0
	number := 0
	for line := range strings.Lines(markdown) {
		number++
		line = strings.TrimSpace(line)
		switch {
		case statusHeading.MatchString(line):
			below = true
		case below && strings.HasPrefix(line, "|"):
			inTable = true
			if row++; row <= 2 {
				continue // the header and its rule
			}
			cells := strings.Split(strings.Trim(line, "|"), "|")
			last := cells[len(cells)-1]
			c := claim{Line: number, What: strings.TrimSpace(cells[0]), Tests: testName.FindAllString(last, -1)}
			if len(c.Tests) == 0 && !strings.Contains(strings.ToLower(last), "not yet") {
				faults = append(faults, fmt.Sprintf("line %d: %q names no test and does not say \"not yet\"", number, c.What))
				continue
			}
			claims = append(claims, c)
		case inTable:
			return claims, faults
		}
	}
	if len(claims) == 0 && len(faults) == 0 {
		faults = append(faults, "no status table: a table below a heading \"Status\"")
	}
	return claims, faults
}

// checkStatus returns what the claims say and the tests do not, and which of the
// named tests have not run here because a run of all leaves them out. With
// results nil only the tests' existence is checked.
func checkStatus(claims []claim, exist, leftOut map[string]bool, results map[string]string) (faults, notRun []string) {
	for _, c := range claims {
		for _, test := range c.Tests {
			top, _, _ := strings.Cut(test, "/")
			problem := ""
			switch {
			case !exist[top]:
				problem = "does not exist"
			case results == nil || results[test] == passed:
				continue
			case results[test] == "" && leftOut[top]:
				notRun = append(notRun, test)
				continue
			case results[test] == "":
				problem = "did not run"
			case results[test] == skipped:
				problem = "was skipped"
			default:
				problem = "failed"
			}
			faults = append(faults, fmt.Sprintf("line %d: %q: %s %s", c.Line, c.What, test, problem))
		}
	}
	slices.Sort(notRun)
	return faults, slices.Compact(notRun)
}

// leftOut finds the tests that a run of all does not have: those of suites on
// request, and those that are only in the long run.
func leftOut(root string) (map[string]bool, error) {
	out := map[string]bool{}
	for _, s := range table() {
		for _, name := range s.LongOnly {
			out[name] = true
		}
		if !s.OnRequest {
			continue
		}
		for _, folder := range s.Packages {
			names, err := testNames(filepath.Join(root, folder))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			maps.Copy(out, names)
		}
	}
	return out, nil
}

func runStatus(root string, out io.Writer) int {
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		fmt.Fprintln(out, "status:", err)
		return 1
	}
	exist, err := testNames(root)
	if err != nil {
		fmt.Fprintln(out, "status:", err)
		return 1
	}
	absent, err := leftOut(root)
	if err != nil {
		fmt.Fprintln(out, "status:", err)
		return 1
	}
	claims, faults := parseStatus(string(readme))
	var results map[string]string
	all, err := loadResults(filepath.Join(root, resultsFile))
	switch {
	case err == nil:
		results = byName(all)
	case errors.Is(err, fs.ErrNotExist):
		fmt.Fprintln(out, "no tests have run here yet; only their names are checked (make test)")
	default:
		faults = append(faults, err.Error())
	}
	more, notRun := checkStatus(claims, exist, absent, results)
	faults = append(faults, more...)
	proven := 0
	for _, c := range claims {
		if len(c.Tests) > 0 {
			proven++
		}
	}
	for _, f := range faults {
		fmt.Fprintln(out, "README.md:", f)
	}
	if len(notRun) > 0 {
		fmt.Fprintf(out, "not run here, since they are run on request or in long runs alone (%s has the last): %s\n",
			longRunsFile, strings.Join(notRun, " "))
	}
	fmt.Fprintf(out, "status table: %d rows with tests, %d not yet, %d tests not run here, %d faults\n",
		proven, len(claims)-proven, len(notRun), len(faults))
	if len(faults) > 0 {
		return 1
	}
	return 0
}
