package iam_test

import (
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/cloudsim/iam"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// policy parses statements, as they stand in a list.
func policy(t *testing.T, statements string) iam.Document {
	t.Helper()
	d, err := iam.Parse([]byte(`{"Version":"2012-10-17","Statement":[` + statements + `]}`))
	if err != nil {
		t.Fatalf("%s: %v", statements, err)
	}
	return d
}

const (
	card   = "arn:aws:ec2:eu-central-1:111122223333:network-interface/eni-1"
	delete = "ec2:DeleteNetworkInterface"
	all    = `{"Sid":"All","Effect":"Allow","Action":"*","Resource":"*"}`
)

// Actions and resources: as IAM's reference of the policy language has it.
func TestDecide(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		statements string
		want       iam.Decision
	}{
		"nothing said":           {`{"Sid":"X","Effect":"Allow","Action":"ec2:AttachNetworkInterface","Resource":"*"}`, iam.Decision{}},
		"all":                    {all, iam.Decision{Allowed: true, By: "All"}},
		"without Sid":            {`{"Effect":"Deny","Action":"s3:*","Resource":"*"},{"Effect":"Allow","Action":"*","Resource":"*"}`, iam.Decision{Allowed: true, By: "statement 2"}},
		"by name":                {`{"Sid":"X","Effect":"Allow","Action":["ec2:CreateTags","ec2:DeleteNetworkInterface"],"Resource":["*"]}`, iam.Decision{Allowed: true, By: "X"}},
		"in another case":        {`{"Sid":"X","Effect":"Allow","Action":"ec2:deletenetworkINTERFACE","Resource":"*"}`, iam.Decision{Allowed: true, By: "X"}},
		"by a part":              {`{"Sid":"X","Effect":"Allow","Action":"ec2:Delete*Interfac?","Resource":"*"}`, iam.Decision{Allowed: true, By: "X"}},
		"by a part that is not":  {`{"Sid":"X","Effect":"Allow","Action":"ec2:Delete?","Resource":"*"}`, iam.Decision{}},
		"another service":        {`{"Sid":"X","Effect":"Allow","Action":"s3:*","Resource":"*"}`, iam.Decision{}},
		"all but that":           {`{"Sid":"X","Effect":"Allow","NotAction":"ec2:Delete*","Resource":"*"}`, iam.Decision{}},
		"all but others":         {`{"Sid":"X","Effect":"Allow","NotAction":["iam:*","ec2:Create*"],"Resource":"*"}`, iam.Decision{Allowed: true, By: "X"}},
		"the resource":           {`{"Sid":"X","Effect":"Allow","Action":"*","Resource":"` + card + `"}`, iam.Decision{Allowed: true, By: "X"}},
		"its kind":               {`{"Sid":"X","Effect":"Allow","Action":"*","Resource":"arn:aws:ec2:*:*:network-interface/*"}`, iam.Decision{Allowed: true, By: "X"}},
		"another kind":           {`{"Sid":"X","Effect":"Allow","Action":"*","Resource":"arn:aws:ec2:*:*:instance/*"}`, iam.Decision{}},
		"another region":         {`{"Sid":"X","Effect":"Allow","Action":"*","Resource":"arn:aws:ec2:us-*:*:network-interface/*"}`, iam.Decision{}},
		"a resource's case":      {`{"Sid":"X","Effect":"Allow","Action":"*","Resource":"arn:aws:ec2:*:*:Network-Interface/*"}`, iam.Decision{}},
		"all resources but that": {`{"Sid":"X","Effect":"Allow","Action":"*","NotResource":"arn:aws:ec2:*:*:network-interface/*"}`, iam.Decision{}},
		"denied first":           {`{"Sid":"No","Effect":"Deny","Action":"ec2:Delete*","Resource":"*"},` + all, iam.Decision{Denied: true, By: "No"}},
		"denied last":            {all + `,{"Sid":"No","Effect":"Deny","Action":"ec2:Delete*","Resource":"*"}`, iam.Decision{Denied: true, By: "No"}},
		"denied to others":       {all + `,{"Sid":"No","Effect":"Deny","Action":"*","Resource":"arn:aws:ec2:*:*:instance/*"}`, iam.Decision{Allowed: true, By: "All"}},
		"denied on a condition":  {all + `,{"Sid":"No","Effect":"Deny","Action":"*","Resource":"*","Condition":{"Null":{"aws:ResourceTag/team":"true"}}}`, iam.Decision{Denied: true, By: "No"}},
		"denied on none that is": {all + `,{"Sid":"No","Effect":"Deny","Action":"*","Resource":"*","Condition":{"Null":{"aws:ResourceTag/team":"false"}}}`, iam.Decision{Allowed: true, By: "All"}},
		"the first that allows":  {`{"Sid":"A","Effect":"Allow","Action":"*","Resource":"*"},{"Sid":"B","Effect":"Allow","Action":"*","Resource":"*"}`, iam.Decision{Allowed: true, By: "A"}},
	} {
		got := iam.Decide([]iam.Document{policy(t, tc.statements)}, iam.Request{Action: delete, Resource: card})
		if got != tc.want {
			t.Errorf("%s: %+v, want %+v", name, got, tc.want)
		}
	}
}

// What one of several policies denies no other allows.
func TestDecideOfSeveral(t *testing.T) {
	t.Parallel()
	allow, deny := policy(t, all), policy(t, `{"Sid":"No","Effect":"Deny","Action":"*","Resource":"*"}`)
	for _, tc := range []struct {
		policies []iam.Document
		want     iam.Decision
	}{
		{nil, iam.Decision{}},
		{[]iam.Document{allow}, iam.Decision{Allowed: true, By: "All"}},
		{[]iam.Document{allow, deny}, iam.Decision{Denied: true, By: "No"}},
		{[]iam.Document{deny, allow}, iam.Decision{Denied: true, By: "No"}},
	} {
		if got := iam.Decide(tc.policies, iam.Request{Action: delete, Resource: card}); got != tc.want {
			t.Errorf("%d policies: %+v, want %+v", len(tc.policies), got, tc.want)
		}
	}
	if !iam.Mentions([]iam.Document{deny, allow}, delete) || iam.Mentions([]iam.Document{deny}, delete) {
		t.Error("what is mentioned is what some statement allows")
	}
}

// The operators: as IAM's reference of conditions has it, for keys that are
// there, that are not, and that have several values.
func TestConditions(t *testing.T) {
	t.Parallel()
	vpc := "arn:aws:ec2:eu-central-1:111122223333:vpc/vpc-1"
	keys := map[string][]string{
		"aws:ResourceTag/team": {"red"}, "aws:RequestTag/empty": {""}, "aws:TagKeys": {"team", "Name"}, "ec2:Vpc": {vpc}, "ec2:CreateAction": {"CreateNetworkInterface"}, "aws:none": {},
	}
	for condition, want := range map[string]bool{
		`"StringEquals":{"aws:ResourceTag/team":"red"}`:                                              true,
		`"StringEquals":{"aws:ResourceTag/team":["blue","red"]}`:                                     true,
		`"StringEquals":{"aws:ResourceTag/team":"Red"}`:                                              false,
		`"StringEquals":{"aws:resourcetag/TEAM":"red"}`:                                              true, // keys have no case
		`"StringEquals":{"aws:ResourceTag/team":"r*"}`:                                               false,
		`"StringEquals":{"aws:ResourceTag/other":"red"}`:                                             false,
		`"StringEquals":{"aws:RequestTag/team":"red"}`:                                               false,
		`"StringEquals":{"aws:RequestTag/empty":""}`:                                                 true,
		`"StringEqualsIfExists":{"aws:ResourceTag/other":"red"}`:                                     true,
		`"StringEqualsIfExists":{"aws:ResourceTag/team":"blue"}`:                                     false,
		`"StringEqualsIgnoreCase":{"aws:ResourceTag/team":"RED"}`:                                    true,
		`"StringNotEqualsIgnoreCase":{"aws:ResourceTag/team":"RED"}`:                                 false,
		`"StringNotEquals":{"aws:ResourceTag/team":"blue"}`:                                          true,
		`"StringNotEquals":{"aws:ResourceTag/team":["blue","red"]}`:                                  false,
		`"StringNotEquals":{"aws:ResourceTag/other":"red"}`:                                          true, // what is not there is not red
		`"StringLike":{"aws:ResourceTag/team":"r?d"}`:                                                true,
		`"StringLike":{"aws:ResourceTag/team":"*"}`:                                                  true,
		`"StringLike":{"aws:ResourceTag/other":"*"}`:                                                 false,
		`"StringNotLike":{"aws:ResourceTag/team":"b*"}`:                                              true,
		`"StringNotLike":{"aws:ResourceTag/team":"r*"}`:                                              false,
		`"ArnEquals":{"ec2:Vpc":"` + vpc + `"}`:                                                      true,
		`"ArnEquals":{"ec2:Vpc":"arn:aws:ec2:*:*:vpc/vpc-1"}`:                                        true,
		`"ArnLike":{"ec2:Vpc":"arn:aws:ec2:*:*:vpc/vpc-?"}`:                                          true,
		`"ArnEquals":{"ec2:Vpc":"arn:aws:ec2:*:*:vpc/vpc-2"}`:                                        false,
		`"ArnEquals":{"ec2:Vpc":"arn:*:vpc/vpc-1"}`:                                                  false, // * ends at a colon
		`"ArnEquals":{"ec2:CreateAction":"arn:aws:ec2:*:*:vpc/*"}`:                                   false, // no ARN
		`"ArnNotEquals":{"ec2:Vpc":"arn:aws:ec2:*:*:vpc/vpc-2"}`:                                     true,
		`"ForAllValues:StringEquals":{"aws:TagKeys":["team","Name","other"]}`:                        true,
		`"ForAllValues:StringEquals":{"aws:TagKeys":["team"]}`:                                       false,
		`"ForAllValues:StringLike":{"aws:TagKeys":"*a*"}`:                                            true,
		`"ForAllValues:StringEquals":{"aws:Other":"x"}`:                                              true, // none is all of none
		`"ForAllValues:StringEquals":{"aws:none":"x"}`:                                               true,
		`"ForAnyValue:StringEquals":{"aws:TagKeys":["team","x"]}`:                                    true,
		`"ForAnyValue:StringEquals":{"aws:TagKeys":"x"}`:                                             false,
		`"ForAnyValue:StringEquals":{"aws:Other":"x"}`:                                               false,
		`"ForAnyValue:StringNotEquals":{"aws:TagKeys":"team"}`:                                       true,
		`"ForAnyValue:StringNotEquals":{"aws:Other":"team"}`:                                         false,
		`"ForAllValues:StringNotEquals":{"aws:TagKeys":"team"}`:                                      false,
		`"StringEquals":{"aws:none":"x"}`:                                                            false,
		`"Null":{"aws:ResourceTag/team":"false"}`:                                                    true,
		`"Null":{"aws:ResourceTag/team":true}`:                                                       false,
		`"Null":{"aws:RequestTag/team":"true"}`:                                                      true,
		`"StringEquals":{"ec2:CreateAction":"CreateNetworkInterface","aws:ResourceTag/team":"red"}`:  true,
		`"StringEquals":{"ec2:CreateAction":"CreateNetworkInterface","aws:ResourceTag/team":"blue"}`: false, // all keys
		`"StringEquals":{"aws:ResourceTag/team":"red"},"StringLike":{"ec2:CreateAction":"Run*"}`:     false, // all operators
		`"StringEquals":{"aws:ResourceTag/team":"red"},"StringLike":{"ec2:CreateAction":"Create*"}`:  true,
		`"ForAllValues:StringEquals":{"aws:TagKeys":["team","Name"]},"Null":{"aws:TagKeys":"false"}`: true,
		`"ForAllValues:StringEquals":{"aws:Other":["team","Name"]},"Null":{"aws:Other":"false"}`:     false,
	} {
		p := policy(t, `{"Effect":"Allow","Action":"*","Resource":"*","Condition":{`+condition+`}}`)
		if got := iam.Decide([]iam.Document{p}, iam.Request{Action: delete, Resource: card, Keys: keys}); got.Allowed != want {
			t.Errorf("%s: %v, want %v", condition, got.Allowed, want)
		}
	}
}

// What is wrong is told all at once; what is not known here is never passed over.
func TestParseFaults(t *testing.T) {
	t.Parallel()
	wrap := func(statement string) string { return `{"Version":"2012-10-17","Statement":[` + statement + `]}` }
	with := func(change ...string) string {
		return wrap(strings.NewReplacer(change...).Replace(`{"Sid":"X","Effect":"Allow","Action":"ec2:A","Resource":"*","Condition":{"StringEquals":{"aws:TagKeys":"x"}}}`))
	}
	for text, want := range map[string][]string{
		``:                         {"EOF"},
		`{`:                        {"EOF"},
		`[]`:                       {"cannot unmarshal array"},
		`{} {}`:                    {"more after it"},
		`{"Version":"2012-10-17"}`: {"Statement"},
		`{"Statement":[]}`:         {"Version is \"\"", "no Statement"},
		`{"Version":"2008-10-17","Statement":[]}`:                         {"2008-10-17"},
		`{"Version":"2012-10-17","Version":"x"}`:                          {`"Version" stands twice`},
		`{"Version":"2012-10-17","Statments":[]}`:                         {"Statments"},
		with(`"Sid":"X"`, `"Sid":"a b"`):                                  {`statement 1 ("a b")`, "letters and digits"},
		with("Allow", "allow"):                                            {"want Allow or Deny"},
		with(`"Action":"ec2:A",`, ""):                                     {"Action and NotAction"},
		with(`"Action":"ec2:A"`, `"Action":[]`):                           {"Action and NotAction"},
		with(`"Action"`, `"NotAction":"ec2:B","Action"`):                  {"Action and NotAction"},
		with(`"Resource":"*",`, ""):                                       {"Resource and NotResource"},
		with("ec2:A", "DescribeSubnets"):                                  {`"DescribeSubnets": want one such as`},
		with(`"Resource":"*"`, `"Resource":"network-interface/*"`):        {"want * or an ARN"},
		with(`"Resource":"*"`, `"Resource":"arn:*:network-interface/*"`):  {"want * or an ARN"},
		with(`"Resource":"*"`, `"Resource":"arn:aws:ec2:*:*:x/${aws:u}"`): {"variables"},
		with(`"Resource"`, `"Principal":"*","Resource"`):                  {"Principal"},
		with("StringEquals", "StringEqual"):                               {`"StringEqual": not known here`},
		with("StringEquals", "NumericEquals"):                             {"not known here"},
		with("StringEquals", "ForAllValues:Null"):                         {"not known here"},
		with("aws:TagKeys", "TagKeys"):                                    {`key "TagKeys"`},
		with(`"x"`, `[]`):                                                 {"no value"},
		with(`"x"`, `"${aws:username}"`):                                  {"variables"},
		with(`"x"`, `{}`):                                                 {"cannot unmarshal"},
		with(`"x"`, `"x","aws:TagKeys":"y"`):                              {`"aws:TagKeys" stands twice`},
		wrap(all + "," + all):                                             {`statement 2 ("All"): the Sid is another statement's`},
		wrap(`{"Sid":"A","Effect":"x"},{"Sid":"B","Effect":"y"}`):         {`statement 1 ("A")`, `statement 2 ("B")`, `"x"`, `"y"`, "Action", "Resource"},
	} {
		_, err := iam.Parse([]byte(text))
		if err == nil {
			t.Errorf("accepted: %s", text)
			continue
		}
		for _, words := range want {
			if !strings.Contains(err.Error(), words) {
				t.Errorf("%s\n%v\ndoes not say %s", text, err, words)
			}
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	text := []byte(`{"Version":"2012-10-17","Id":"p","Statement":{"Effect":"Allow","Action":"ec2:Describe*","Resource":"*"}}`)
	d, err := iam.Parse(text)
	if err != nil || len(d.Statements) != 1 || d.ID != "p" || d.Statements[0].Deny || d.Statements[0].Actions[0] != "ec2:Describe*" {
		t.Errorf("one statement without a list: %+v, %v", d, err)
	}
	if n := iam.Length([]byte("{ \"a\" :\n\t1 }")); n != 7 {
		t.Errorf("length %d, want 7", n)
	}
}

// Whatever stands there, Parse ends, and Decide of what it takes does too.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"Version":"2012-10-17","Statement":[`+all+`]}`), "a*b")
	f.Add([]byte(`{"Version":"2012-10-17","Statement":{"Effect":"Deny","NotAction":"*","NotResource":"*","Condition":{"Null":{"a:b":true}}}}`), "x")
	f.Add([]byte(`{"Version":"1","Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"IpAddress":{"acs:SourceIp":"10.0.0.0/8"},"DateLessThan":{"acs:CurrentTime":"2026-01-02T03:04:05Z"}}}}`), "acs:SourceIp")
	f.Fuzz(func(t *testing.T, text []byte, value string) {
		for _, dialect := range []iam.Dialect{iam.IAM(), iam.RAM()} {
			d, err := dialect.Parse(text)
			if err != nil {
				continue
			}
			got := iam.Decide([]iam.Document{d}, iam.Request{Action: "ec2:" + value, Resource: value, Keys: map[string][]string{value: {value}}})
			if got.Allowed && got.Denied {
				t.Errorf("both: %+v", got)
			}
		}
	})
}
