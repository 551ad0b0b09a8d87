package conf

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const awsExample = "../../examples/aws"

func TestAWSExampleLoads(t *testing.T) {
	t.Parallel()
	c, err := LoadController(filepath.Join(awsExample, "nicferryd.yaml"))
	if err != nil || c.Providers[0].Kind != KindAWS || len(c.Networks) != 1 || len(c.Networks[0].Cloud.Subnets) != 2 {
		t.Errorf("%+v, %v", c, err)
	}
	if a, err := LoadAgent(filepath.Join(awsExample, "agent.yaml")); err != nil || c.Nodes[a.Node].Instances == nil {
		t.Errorf("%+v, %v", a, err)
	}
}

// A policy is one of IAM's, as examples/aws has them.
type policy struct {
	Version   string
	Statement []struct {
		Sid, Effect      string
		Action, Resource texts
		Condition        map[string]map[string]texts
	}
}

// texts are one text, or a list of them.
type texts []string

func (t *texts) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		*t = make(texts, 1)
		return json.Unmarshal(data, &(*t)[0])
	}
	return json.Unmarshal(data, (*[]string)(t))
}

// The policies of examples/aws allow what the provider calls and nothing else, and
// whatever changes anything only upon what has our tag or is in one VPC.
func TestAWSPolicies(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(awsExample, "iam", "*.json"))
	if err != nil || len(files) != 4 {
		t.Fatal(files, err)
	}
	allowed := map[string]bool{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		d := json.NewDecoder(bytes.NewReader(data))
		d.DisallowUnknownFields()
		var p policy
		if err := d.Decode(&p); err != nil || p.Version != "2012-10-17" {
			t.Fatalf("%s: %v, version %q", file, err, p.Version)
		}
		sids := map[string]bool{}
		for _, s := range p.Statement {
			if s.Effect != "Allow" || sids[s.Sid] || strings.Trim(s.Sid, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" {
				t.Errorf("%s: %s %s", file, s.Effect, s.Sid)
			}
			sids[s.Sid] = true
			for _, action := range s.Action {
				api, ok := strings.CutPrefix(action, "ec2:")
				reads := strings.HasPrefix(api, "Describe")
				if anything := slices.Contains(s.Resource, "*"); !ok || anything != reads || reads != (s.Condition == nil) {
					t.Errorf("%s: %s: %s on %v if %v", file, s.Sid, action, s.Resource, s.Condition)
				}
				allowed[api] = true
			}
			for _, r := range s.Resource {
				if r != "*" && !strings.HasPrefix(r, "arn:aws:ec2:REGION:ACCOUNT:") {
					t.Errorf("%s: %s: resource %s", file, s.Sid, r)
				}
			}
			checkCondition(t, file+": "+s.Sid, s.Condition)
		}
	}
	called := awsCalls(t)
	for _, api := range called {
		if !allowed[api] {
			t.Errorf("provider/aws calls %s, which no policy allows", api)
		}
		delete(allowed, api)
	}
	delete(allowed, "DescribeSecurityGroups") // of nicferry config check --online
	if len(allowed) > 0 || len(called) < 15 {
		t.Errorf("allowed, and not called by provider/aws: %v", slices.Sorted(maps.Keys(allowed)))
	}
}

// checkCondition wants our tag or our VPC in each condition.
func checkCondition(t *testing.T, at string, condition map[string]map[string]texts) {
	t.Helper()
	const tag = "nicferry.io/cluster"
	bound := condition == nil
	for _, keys := range condition {
		for key, values := range keys {
			bound = bound || (key == "aws:ResourceTag/"+tag || key == "aws:RequestTag/"+tag) && slices.Equal(values, texts{"CLUSTER"}) ||
				key == "ec2:Vpc" && slices.Equal(values, texts{"arn:aws:ec2:REGION:ACCOUNT:vpc/VPC"})
		}
	}
	if !bound {
		t.Errorf("%s: bound neither to our tag nor to a VPC: %v", at, condition)
	}
}

// awsCalls are the actions that provider/aws calls, by its constants.
func awsCalls(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../../provider/aws/rates.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	ast.Inspect(file, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(v.Names[0].Name, "api") && len(v.Values) == 1 {
			api, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, api)
		}
		return true
	})
	return all
}
