package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// saveResults replaces in the file the results of the suites that ran, and
// keeps those of the others.
func saveResults(path string, done []outcome) error {
	old, err := loadResults(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		old = nil // written by another version, or cut short: start anew
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	write := func(results []result, keep func(result) bool) error {
		for _, r := range results {
			if keep(r) {
				if err := enc.Encode(r); err != nil {
					return fmt.Errorf("save test results: %w", err)
				}
			}
		}
		return nil
	}
	ran := map[string]bool{}
	for _, o := range done {
		ran[o.Suite.Name] = true
	}
	if err := write(old, func(r result) bool { return !ran[r.Suite] }); err != nil {
		return err
	}
	for _, o := range done {
		if err := write(o.Results, func(result) bool { return true }); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("save test results: %w", err)
	}
	if err := os.WriteFile(path+".new", buf.Bytes(), 0o644); err != nil {
		return fmt.Errorf("save test results: %w", err)
	}
	return os.Rename(path+".new", path)
}

// loadResults reads what saveResults wrote. The error is fs.ErrNotExist if no
// suite has run yet.
func loadResults(path string) ([]result, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var results []result
	lines := bufio.NewScanner(file)
	for n := 1; lines.Scan(); n++ {
		var r result
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, n, err)
		}
		results = append(results, r)
	}
	return results, lines.Err()
}

// byName gives the worst result of each test name over all packages.
func byName(results []result) map[string]string {
	names := map[string]string{}
	for _, r := range results {
		if r.Test != "" {
			names[r.Test] = worse(names[r.Test], r.Result)
		}
	}
	return names
}
