package ec2

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// answersOf has an answer of each action.
func answersOf() map[string]answer {
	return map[string]answer{
		"CreateNetworkInterface": &createInterfaceAnswer{}, "DescribeNetworkInterfaces": &interfacesAnswer{},
		"AttachNetworkInterface": &attachAnswer{}, "DescribeNetworkInterfaceAttribute": &attributeAnswer{},
		"AssignPrivateIpAddresses": &assignedAnswer{}, "AssignIpv6Addresses": &assignedIPv6Answer{},
		"UnassignIpv6Addresses": &unassignedIPv6Answer{}, "DescribeTags": &tagsAnswer{},
		"AllocateAddress": &allocateAnswer{}, "AssociateAddress": &associateAnswer{}, "DescribeAddresses": &addressesAnswer{},
		"DescribeInstances": &instancesAnswer{}, "DescribeInstanceTypes": &typesAnswer{}, "DescribeSubnets": &subnetsAnswer{},
		"DescribeSecurityGroups": &groupsAnswer{}, "DescribeVpcs": &vpcsAnswer{}, "DescribeAvailabilityZones": &zonesAnswer{},
		"RunInstances": &runAnswer{}, "StartInstances": &changesAnswer{}, "StopInstances": &changesAnswer{},
		"TerminateInstances": &changesAnswer{},
	}
}

// stuff fills each field, lists with two.
func stuff(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		stuff(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Name != "XMLName" {
				f := v.Field(i)
				stuff(reflect.NewAt(f.Type(), f.Addr().UnsafePointer()).Elem()) // embedded ones are not exported
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		stuff(v.Index(0))
		stuff(v.Index(1))
	case reflect.String:
		v.SetString("x")
	case reflect.Int:
		v.SetInt(7)
	case reflect.Bool:
		v.SetBool(true)
	}
}

func reservationsOf(got answer) []reservationItem {
	switch got := got.(type) {
	case *instancesAnswer:
		return got.Reservations
	case *runAnswer:
		return []reservationItem{got.reservationItem}
	}
	return nil
}

// shapes are the elements that the SDK reads, by shape: the shape of what is
// below, or "" where it is a text.
func shapes(t *testing.T) map[string]map[string]string {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(sdk(t), "deserializers.go"))
	if err != nil {
		t.Fatal(err)
	}
	head := regexp.MustCompile(`^func awsEc2query_deserialize(?:Op)?Document(\w+)\(`)
	element := regexp.MustCompile(`strings\.EqualFold\("(\w+)", t\.Name\.Local\)`)
	below := regexp.MustCompile(`awsEc2query_deserializeDocument(\w+)\(`)
	all := map[string]map[string]string{}
	var shape, name string
	for line := range strings.Lines(string(source)) {
		if m := head.FindStringSubmatch(line); m != nil {
			shape, name = m[1], ""
			all[shape] = map[string]string{}
		} else if m := element.FindStringSubmatch(line); m != nil && shape != "" {
			name = m[1]
			all[shape][name] = ""
		} else if m := below.FindStringSubmatch(line); m != nil && name != "" {
			all[shape][name] = m[1]
		}
	}
	return all
}

// Each element of each answer is one that the SDK reads in that place, in the
// same spelling [S deserializers.go of the SDK's module].
func TestTheSDKReadsEachElement(t *testing.T) {
	t.Parallel()
	known := shapes(t)
	if len(known) < 1000 {
		t.Fatalf("only %d shapes in the SDK's source", len(known))
	}
	// Not in the SDK's output: it knows success by the status, and the id of a
	// request by another way.
	unread := map[string]bool{"requestId": true, "return": true}
	elements := 0
	for api, got := range answersOf() {
		stuff(reflect.ValueOf(got).Elem())
		for _, r := range reservationsOf(got) {
			for _, i := range r.Instances {
				for n := range i.Interfaces {
					i.Interfaces[n].shorten()
				}
			}
		}
		status, text := document("id", api, got, nil)
		if status != 200 {
			t.Fatalf("%s: %d", api, status)
		}
		decoder := xml.NewDecoder(bytes.NewReader(text))
		path := []string{}
		for {
			token, err := decoder.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v in\n%s", api, err, text)
			}
			switch token := token.(type) {
			case xml.StartElement:
				name := token.Name.Local
				switch {
				case len(path) == 0:
					if name != api+"Response" || token.Name.Space != namespace {
						t.Errorf("%s: the root is %+v", api, token.Name)
					}
					path = append(path, api+"Output")
				case len(path) == 1 && unread[name]:
					path = append(path, "")
				default:
					shape := path[len(path)-1]
					next, reads := known[shape][name]
					if !reads {
						t.Errorf("%s: the SDK reads no <%s> in %s", api, name, shape)
					}
					elements++
					path = append(path, next)
				}
			case xml.EndElement:
				path = path[:len(path)-1]
			}
		}
	}
	t.Logf("%d elements", elements)
}

// An answer is a document of its own: lists without items are empty elements, and
// what is not known is left out.
func TestAnswerAsWritten(t *testing.T) {
	t.Parallel()
	_, text := document("7-7", "AttachNetworkInterface", &attachAnswer{AttachmentID: "eni-attach-1"}, nil)
	const want = `<?xml version="1.0" encoding="UTF-8"?>
<AttachNetworkInterfaceResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
    <requestId>7-7</requestId>
    <attachmentId>eni-attach-1</attachmentId>
    <networkCardIndex>0</networkCardIndex>
</AttachNetworkInterfaceResponse>`
	if string(text) != want {
		t.Errorf("%s", text)
	}
	_, text = document("7-7", "DescribeNetworkInterfaces", &interfacesAnswer{}, nil)
	if !strings.Contains(string(text), "<networkInterfaceSet></networkInterfaceSet>") || strings.Contains(string(text), "nextToken") {
		t.Errorf("a list without items is\n%s", text)
	}
	status, text := document("7-7", "DeleteNetworkInterface", nil, refuse(unknownKey).asError())
	const no = `<?xml version="1.0" encoding="UTF-8"?>
<Response>
    <Errors>
        <Error>
            <Code>AuthFailure</Code>
            <Message>AWS was not able to validate the provided access credentials</Message>
        </Error>
    </Errors>
    <RequestID>7-7</RequestID>
</Response>`
	if string(text) != no || status != 401 {
		t.Errorf("%d %s", status, text)
	}
	status, text = document("7-7", "X", nil, errors.New("a <strange> error"))
	if status != 500 || !strings.Contains(string(text), "<Code>InternalError</Code>") {
		t.Errorf("%d %s", status, text)
	}
}
