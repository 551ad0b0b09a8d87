package conf

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const aliyunExample = "../../examples/aliyun"

func TestAliyunExampleLoads(t *testing.T) {
	t.Parallel()
	c, err := LoadController(filepath.Join(aliyunExample, "nicferryd.yaml"))
	if err != nil || c.Providers[0].Kind != KindAliyun || len(c.Networks) != 1 || len(c.Networks[0].Cloud.Subnets) != 2 {
		t.Errorf("%+v, %v", c, err)
	}
	if a, err := LoadAgent(filepath.Join(aliyunExample, "agent.yaml")); err != nil || c.Nodes[a.Node].Instances == nil {
		t.Errorf("%+v, %v", a, err)
	}
}

// The policies of examples/aliyun let what changes anything do so only upon what has our
// tag, or in vSwitches and groups that are named; EIPs have no tags as they are made.
func TestAliyunPolicies(t *testing.T) {
	t.Parallel()
	allowed := map[string]bool{}
	for _, s := range policiesIn(t, filepath.Join(aliyunExample, "ram"), "1", 5) {
		if s.Effect == "Deny" {
			continue // takes away alone
		}
		for _, action := range s.Action {
			reads := strings.Contains(action, ":Describe") || strings.Contains(action, ":List")
			allowed[action[strings.Index(action, ":")+1:]] = true
			if anything := slices.Contains(s.Resource, "*"); anything != reads || s.Effect != "Allow" {
				t.Errorf("%s: %s %s on %v", s.file, s.Effect, action, s.Resource)
			}
			for _, r := range s.Resource {
				kind, named := strings.CutPrefix(r, "acs:ecs:REGION:ACCOUNT:")
				if !named {
					kind, named = strings.CutPrefix(r, "acs:vpc:REGION:ACCOUNT:")
				}
				if !reads && (!named || strings.HasSuffix(kind, "*") && kind != "eip/*" && !s.ours("acs:")) {
					t.Errorf("%s: %s on %s, bound by nothing", s.file, action, r)
				}
			}
		}
	}
	called := callsOf(t, "../../provider/aliyun/rates.go")
	for _, api := range called {
		if !allowed[api] {
			t.Errorf("provider/aliyun calls %s, which no policy allows", api)
		}
		delete(allowed, api)
	}
	if len(allowed) > 0 || len(called) < 15 {
		t.Errorf("allowed, and not called by provider/aliyun: %v", slices.Sorted(maps.Keys(allowed)))
	}
}
