package server_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type openAPI struct {
	Paths map[string]map[string]struct {
		OperationID string `json:"operationId"`
		Responses   map[string]struct {
			Content map[string]struct {
				Schema struct {
					Ref string `json:"$ref"`
				} `json:"schema"`
			} `json:"content"`
		} `json:"responses"`
	} `json:"paths"`
	Components struct {
		Schemas map[string]struct {
			Properties map[string]any `json:"properties"`
		} `json:"schemas"`
	} `json:"components"`
}

func TestOpenAPIDocument(t *testing.T) {
	t.Parallel()
	resp := start(t).send("GET", "/openapi.json", "")
	var doc openAPI
	if err := json.NewDecoder(resp.Body).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	var routes []string
	for path, methods := range doc.Paths {
		for method, op := range methods {
			routes = append(routes, strings.ToUpper(method)+" "+path)
			if ref := op.Responses["default"].Content["application/json"].Schema.Ref; ref != "#/components/schemas/Error" {
				t.Errorf("%s %s answers errors with %q", method, path, ref)
			}
		}
	}
	slices.Sort(routes)
	want := []string{
		"DELETE /v1/tokens/{id}",
		"GET /v1/claims", "GET /v1/claims/{id}", "GET /v1/drains", "GET /v1/events", "GET /v1/moves", "GET /v1/moves/{id}", "GET /v1/networks", "GET /v1/networks/{name}", "GET /v1/networks/{name}/plan",
		"GET /v1/nics", "GET /v1/nics/{id}", "GET /v1/nodes", "GET /v1/nodes/{name}", "GET /v1/nodes/{name}/room",
		"GET /v1/nodes/{name}/streams/{stream}", "GET /v1/nodes/{name}/tasks", "GET /v1/nodes/{name}/wanted", "GET /v1/nodes/{name}/watch", "GET /v1/status", "GET /v1/tokens", "GET /v1/version",
		"POST /v1/audit", "POST /v1/certificates", "POST /v1/claims", "POST /v1/claims/{id}/promote", "POST /v1/claims/{id}/release", "POST /v1/join",
		"POST /v1/moves", "POST /v1/moves/plan", "POST /v1/moves/{id}/abort", "POST /v1/moves/{id}/resume",
		"POST /v1/nodes/{name}/drain", "POST /v1/nodes/{name}/forget", "POST /v1/nodes/{name}/remove", "POST /v1/nodes/{name}/renew", "POST /v1/nodes/{name}/report", "POST /v1/nodes/{name}/revoke", "POST /v1/nodes/{name}/tasks/{id}/begin", "POST /v1/nodes/{name}/tasks/{id}/finish", "POST /v1/nodes/{name}/tasks/{id}/progress",
		"POST /v1/nodes/{name}/undrain", "POST /v1/tokens", "PUT /v1/nodes/{name}/hello", "PUT /v1/nodes/{name}/streams/{stream}",
	}
	if diff := cmp.Diff(want, routes); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
	fields := slices.Sorted(maps.Keys(doc.Components.Schemas["Error"].Properties))
	if diff := cmp.Diff([]string{"claim", "code", "faults", "field", "message", "providerRequestId", "refusals"}, fields); diff != "" {
		t.Errorf("fields of Error (-want +got):\n%s", diff)
	}
	for name, schema := range doc.Components.Schemas {
		if name == "ErrorModel" || schema.Properties["$schema"] != nil {
			t.Errorf("schema %s has come in from huma", name)
		}
	}
	for _, name := range []string{"Claim", "ClaimView", "NICView", "Node", "NetworkView", "Wanted", "Observed", "Change", "AcquireRequest"} {
		if len(doc.Components.Schemas[name].Properties) == 0 {
			t.Errorf("schema %s is missing or empty", name)
		}
	}
}
