// Package iam decides by policies who may do what: by those of AWS's IAM, and by
// those of Alibaba Cloud's RAM, whose language is a dialect of the same.
package iam

import (
	"slices"
	"strconv"
	"strings"
)

// A Document is one policy that is attached to somebody.
type Document struct {
	Version    string
	ID         string
	Statements []Statement
}

// A Statement allows or denies. Of Actions and NotActions one is empty, and so
// it is with the resources.
type Statement struct {
	Sid  string
	Deny bool
	// Actions such as ec2:Describe*; NotActions are all but those.
	Actions, NotActions []string
	// Resources are ARNs, * and ? for any characters; NotResources all but those.
	Resources, NotResources []string
	// Conditions must all hold.
	Conditions []Condition
}

// A Condition holds a key of the request against values.
type Condition struct {
	// Operator is as it is written, such as ForAllValues:StringEquals.
	Operator string
	Key      string
	Values   []string

	op operator
}

// A Request is one action on one resource.
type Request struct {
	Action   string // such as ec2:DeleteNetworkInterface
	Resource string // the ARN, or * where the action knows no resources
	// Keys are what conditions ask for, such as aws:ResourceTag/team, in
	// whatever case. One that is not there is another thing than an empty one.
	Keys map[string][]string
}

// A Decision is what becomes of a request, and why.
type Decision struct {
	Allowed bool
	// By is the Sid of the statement that decided, or its place, such as
	// statement 2; empty where none allows.
	By string
	// Denied: a statement denies it, whatever others allow.
	Denied bool
}

// Decide weighs all policies of one caller: what any denies is denied, else
// what any allows is allowed, and nothing else is.
func Decide(policies []Document, r Request) Decision {
	var d Decision
	for _, p := range policies {
		for n := range p.Statements {
			s := &p.Statements[n]
			switch applies := s.applies(r); {
			case applies && s.Deny:
				return Decision{Denied: true, By: s.name(n)}
			case applies && !d.Allowed:
				d = Decision{Allowed: true, By: s.name(n)}
			}
		}
	}
	return d
}

// Mentions says whether any statement allows an action on whatever resource,
// under whatever condition.
func Mentions(policies []Document, action string) bool {
	return slices.ContainsFunc(policies, func(p Document) bool {
		return slices.ContainsFunc(p.Statements, func(s Statement) bool { return !s.Deny && s.takes(action) })
	})
}

func (s *Statement) name(n int) string {
	if s.Sid != "" {
		return s.Sid
	}
	return "statement " + strconv.Itoa(n+1)
}

func (s *Statement) applies(r Request) bool {
	return s.takes(r.Action) && s.covers(r.Resource) &&
		!slices.ContainsFunc(s.Conditions, func(c Condition) bool { return !c.holds(r.Keys) })
}

// takes tells of an action, in whatever case.
func (s *Statement) takes(action string) bool {
	is := func(pattern string) bool { return like(strings.ToLower(pattern), strings.ToLower(action)) }
	if len(s.NotActions) > 0 {
		return !slices.ContainsFunc(s.NotActions, is)
	}
	return slices.ContainsFunc(s.Actions, is)
}

func (s *Statement) covers(resource string) bool {
	is := func(pattern string) bool { return like(pattern, resource) }
	if len(s.NotResources) > 0 {
		return !slices.ContainsFunc(s.NotResources, is)
	}
	return slices.ContainsFunc(s.Resources, is)
}
