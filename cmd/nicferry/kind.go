package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/nic"
)

// A kind is one sort of thing that can be shown.
type kind struct {
	name          string
	aliases       []string
	columns, wide []string
	list          func(context.Context, *client.Client) ([]thing, error)
	// find returns what the name stands for, at least one or an error. single
	// says that the name cannot stand for more than one.
	find func(ctx context.Context, c *client.Client, name string) (things []thing, single bool, err error)
	// more adds to what find has found, for who has it described; may be nil.
	more func(ctx context.Context, c *client.Client, found thing) thing
}

// A thing is one line of a table.
type thing interface {
	// key is its name: what find takes.
	key() string
	// object is what the API gave.
	object() any
	// cells are the values of the columns and then of the wide ones; they
	// need not be clean.
	cells(now time.Time) []string
	describe(s *sheet)
}

func kinds() []kind {
	return []kind{nodeKind(), nicKind(), claimKind(), networkKind(), moveKind()}
}

func kindNames() []string {
	var names []string
	for _, k := range kinds() {
		names = append(names, k.name)
	}
	return names
}

// kindOf finds the kind that the user means.
func kindOf(name string) (kind, error) {
	for _, k := range kinds() {
		if k.name == name || slices.Contains(k.aliases, name) {
			return k, nil
		}
	}
	return kind{}, usagef("unknown kind %q: want one of %s", name, strings.Join(kindNames(), ", "))
}

// things turns a list of the API's into things.
func things[T any, W thing](items []T, wrap func(T) W) []thing {
	out := make([]thing, len(items))
	for i, item := range items {
		out[i] = wrap(item)
	}
	return out
}

// newest is the condition that came last, if there is any.
func newest(lists ...[]nic.Condition) (last nic.Condition) {
	for _, list := range lists {
		for _, c := range list {
			if last.Reason == "" || c.Since.After(last.Since) {
				last = c
			}
		}
	}
	return last
}

// join writes each item in its String form.
func join[T interface{ String() string }](items []T) string {
	texts := make([]string, len(items))
	for i, item := range items {
		texts[i] = item.String()
	}
	return strings.Join(texts, ",")
}

// with adds a detail to a state, as in refused:AddressTaken.
func with(state, detail string) string {
	if detail == "" {
		return state
	}
	return state + ":" + detail
}
