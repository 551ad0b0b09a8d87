//go:build linux

package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// A record is one line of the figures.
type record struct {
	measure string // static, lease ("dhcp"), make, messages, crowd or hour
	what    string // the tool, or what was counted
	round   int
	value   int64
	unit    string
	fault   error // it did not do what it should, or left something behind
}

// header names the columns.
var header = [...]string{"commit", "measure", "what", "round", "value", "unit", "ok", "fault"}

// records writes figures to a file, a line each, as they come.
type records struct {
	file   *os.File
	csv    *csv.Writer
	commit string
}

func newRecords(path, commit string) (*records, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	r := &records{file: file, csv: csv.NewWriter(file), commit: commit}
	return r, r.csv.Write(header[:])
}

func (r *records) add(rec record) {
	fault := ""
	if rec.fault != nil {
		fault = strings.ReplaceAll(rec.fault.Error(), "\n", " ")
		fmt.Fprintf(os.Stderr, "bench: %s, %s, round %d: %s\n", rec.measure, rec.what, rec.round, fault)
	}
	// An error stays with the writer until close.
	_ = r.csv.Write([]string{
		r.commit, rec.measure, rec.what, strconv.Itoa(rec.round), strconv.FormatInt(rec.value, 10), rec.unit,
		strconv.FormatBool(rec.fault == nil), fault,
	})
	r.csv.Flush()
}

func (r *records) close() error {
	r.csv.Flush()
	return errors.Join(r.csv.Error(), r.file.Close())
}

// readRecords reads the figures back.
func readRecords(path string) (commit string, list []record, err error) {
	file, err := os.Open(path)
	if err != nil {
		return "", nil, err
	}
	defer file.Close()
	lines, err := csv.NewReader(file).ReadAll()
	if err != nil {
		return "", nil, fmt.Errorf("read %s: %w", path, err)
	}
	for i, f := range lines {
		if i == 0 {
			continue
		}
		round, err1 := strconv.Atoi(f[3])
		value, err2 := strconv.ParseInt(f[4], 10, 64)
		if err := errors.Join(err1, err2); err != nil {
			return "", nil, fmt.Errorf("read %s, line %d: %w", path, i+1, err)
		}
		rec := record{measure: f[1], what: f[2], round: round, value: value, unit: f[5]}
		if f[6] != "true" {
			rec.fault = errors.New(f[7])
		}
		commit, list = f[0], append(list, rec)
	}
	return commit, list, nil
}
