package iam

import (
	"slices"
	"strconv"
	"strings"
)

// An operator is what a condition does, taken apart.
type operator struct {
	same func(want, have string) bool
	// form is what its values must be like; nil is anything.
	form func(value string) bool
	// not: none of the values may be the key's.
	not bool
	// ifExists: it holds where the key is not there.
	ifExists bool
	// all and any are for keys of several values.
	all, any bool
	// null: the values say whether the key is not there.
	null bool
}

// iamOperator knows those that policies about EC2 use; false for others.
func iamOperator(name string) (o operator, ok bool) {
	name, o.all = strings.CutPrefix(name, "ForAllValues:")
	if !o.all {
		name, o.any = strings.CutPrefix(name, "ForAnyValue:")
	}
	name, o.ifExists = strings.CutSuffix(name, "IfExists")
	if o.ofTexts(name) {
		return o, true
	}
	switch name {
	case "ArnEquals", "ArnLike": // the same, says IAM
		o.same = likeARN
	case "ArnNotEquals", "ArnNotLike":
		o.same, o.not = likeARN, true
	case "Null":
		o.null = true
		return o, !o.all && !o.any && !o.ifExists
	}
	return o, o.same != nil
}

// ofTexts makes it one of those that are about texts; false if it is none.
func (o *operator) ofTexts(name string) bool {
	switch name {
	case "StringEquals", "StringNotEquals":
		o.same = func(want, have string) bool { return want == have }
	case "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "Bool":
		o.same = strings.EqualFold
	case "StringLike", "StringNotLike":
		o.same = like
	default:
		return false
	}
	o.not = strings.HasPrefix(name, "StringNot")
	return true
}

// holds says whether the condition is met.
func (c *Condition) holds(keys map[string][]string) bool {
	have, there := lookUp(keys, c.Key)
	if c.op.null {
		return slices.Contains(c.Values, strconv.FormatBool(!there))
	}
	one := func(v string) bool {
		return c.op.not != slices.ContainsFunc(c.Values, func(want string) bool { return c.op.same(want, v) })
	}
	switch {
	case c.op.all: // also where there is none, as IAM has it
		return !slices.ContainsFunc(have, func(v string) bool { return !one(v) })
	case !there || len(have) == 0:
		return c.op.ifExists || c.op.not && !c.op.any
	case c.op.not && !c.op.any:
		return !slices.ContainsFunc(have, func(v string) bool { return !one(v) })
	}
	return slices.ContainsFunc(have, one)
}

// lookUp finds a key, in whatever case.
func lookUp(keys map[string][]string, name string) (values []string, there bool) {
	for key, v := range keys {
		if strings.EqualFold(key, name) {
			values, there = append(values, v...), true
		}
	}
	return values, there
}
