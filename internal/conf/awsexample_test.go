package conf

import (
	"maps"
	"path/filepath"
	"slices"
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

// The policies of examples/aws allow what the provider calls and nothing else, and
// whatever changes anything only upon what has our tag or is in one VPC.
func TestAWSPolicies(t *testing.T) {
	t.Parallel()
	allowed := map[string]bool{}
	sids := map[string]bool{}
	for _, s := range policiesIn(t, filepath.Join(awsExample, "iam"), "2012-10-17", 4) {
		if s.Effect != "Allow" || sids[s.Sid] || strings.Trim(s.Sid, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" {
			t.Errorf("%s: %s %s", s.file, s.Effect, s.Sid)
		}
		sids[s.Sid] = true
		for _, action := range s.Action {
			api, ok := strings.CutPrefix(action, "ec2:")
			reads := strings.HasPrefix(api, "Describe")
			if anything := slices.Contains(s.Resource, "*"); !ok || anything != reads || reads != (s.Condition == nil) {
				t.Errorf("%s: %s: %s on %v if %v", s.file, s.Sid, action, s.Resource, s.Condition)
			}
			allowed[api] = true
		}
		for _, r := range s.Resource {
			if r != "*" && !strings.HasPrefix(r, "arn:aws:ec2:REGION:ACCOUNT:") {
				t.Errorf("%s: %s: resource %s", s.file, s.Sid, r)
			}
		}
		if s.Condition != nil && !s.ours("aws:") && !slices.Equal(s.Condition["ArnEquals"]["ec2:Vpc"], texts{"arn:aws:ec2:REGION:ACCOUNT:vpc/VPC"}) {
			t.Errorf("%s: %s: bound neither to our tag nor to a VPC: %v", s.file, s.Sid, s.Condition)
		}
	}
	called := callsOf(t, "../../provider/aws/rates.go")
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
