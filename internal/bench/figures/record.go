package figures

import (
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// A Record is one line of the figures.
type Record struct {
	Measure string // the table that it belongs to
	What    string // the tool, or what was counted
	Round   int
	Value   int64
	Unit    string
	Fault   error // it did not do what it should, or left something behind
}

// header names the columns.
var header = [...]string{"commit", "measure", "what", "round", "value", "unit", "ok", "fault"}

// A File takes figures, a line each, as they come.
type File struct {
	file   *os.File
	csv    *csv.Writer
	commit string
}

// Create begins a file of figures of the commit. Close must follow.
func Create(path, commit string) (*File, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	f := &File{file: file, csv: csv.NewWriter(file), commit: commit}
	return f, f.csv.Write(header[:])
}

// Add writes one record, and tells of its fault on standard error. What cannot
// be written is Close's error.
func (f *File) Add(measure, what string, round int, value int64, unit string, fault error) {
	text := ""
	if fault != nil {
		text = strings.ReplaceAll(fault.Error(), "\n", " ")
		fmt.Fprintf(os.Stderr, "bench: %s, %s, round %d: %s\n", measure, what, round, text)
	}
	// An error stays with the writer until Close.
	_ = f.csv.Write([]string{
		f.commit, measure, what, strconv.Itoa(round), strconv.FormatInt(value, 10), unit,
		strconv.FormatBool(fault == nil), text,
	})
	f.csv.Flush()
}

// Close ends the file, with the first error that writing it met.
func (f *File) Close() error {
	f.csv.Flush()
	return errors.Join(f.csv.Error(), f.file.Close())
}

// Read reads a file's figures back, with the commit that they are of.
func Read(path string) (commit string, list []Record, err error) {
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
		rec := Record{Measure: f[1], What: f[2], Round: round, Value: value, Unit: f[5]}
		if f[6] != "true" {
			rec.Fault = errors.New(f[7])
		}
		commit, list = f[0], append(list, rec)
	}
	return commit, list, nil
}
