package ecs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/responses"
	sdkecs "github.com/aliyun/alibaba-cloud-sdk-go/services/ecs"
	sdkvpc "github.com/aliyun/alibaba-cloud-sdk-go/services/vpc"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/query"
)

// A sdkCall is how the vendor's SDK has a call.
type sdkCall struct {
	request func() requests.AcsRequest
	answer  func() responses.AcsResponse
}

func sdk2[Q requests.AcsRequest, A responses.AcsResponse](q func() Q, a func() A) sdkCall {
	return sdkCall{func() requests.AcsRequest { return q() }, func() responses.AcsResponse { return a() }}
}

// sdkCalls are all that the face knows.
var sdkCalls = map[string]sdkCall{
	"CreateNetworkInterface":            sdk2(sdkecs.CreateCreateNetworkInterfaceRequest, sdkecs.CreateCreateNetworkInterfaceResponse),
	"DescribeNetworkInterfaces":         sdk2(sdkecs.CreateDescribeNetworkInterfacesRequest, sdkecs.CreateDescribeNetworkInterfacesResponse),
	"DescribeNetworkInterfaceAttribute": sdk2(sdkecs.CreateDescribeNetworkInterfaceAttributeRequest, sdkecs.CreateDescribeNetworkInterfaceAttributeResponse),
	"AttachNetworkInterface":            sdk2(sdkecs.CreateAttachNetworkInterfaceRequest, sdkecs.CreateAttachNetworkInterfaceResponse),
	"DetachNetworkInterface":            sdk2(sdkecs.CreateDetachNetworkInterfaceRequest, sdkecs.CreateDetachNetworkInterfaceResponse),
	"DeleteNetworkInterface":            sdk2(sdkecs.CreateDeleteNetworkInterfaceRequest, sdkecs.CreateDeleteNetworkInterfaceResponse),
	"ModifyNetworkInterfaceAttribute":   sdk2(sdkecs.CreateModifyNetworkInterfaceAttributeRequest, sdkecs.CreateModifyNetworkInterfaceAttributeResponse),
	"AssignPrivateIpAddresses":          sdk2(sdkecs.CreateAssignPrivateIpAddressesRequest, sdkecs.CreateAssignPrivateIpAddressesResponse),
	"UnassignPrivateIpAddresses":        sdk2(sdkecs.CreateUnassignPrivateIpAddressesRequest, sdkecs.CreateUnassignPrivateIpAddressesResponse),
	"AssignIpv6Addresses":               sdk2(sdkecs.CreateAssignIpv6AddressesRequest, sdkecs.CreateAssignIpv6AddressesResponse),
	"UnassignIpv6Addresses":             sdk2(sdkecs.CreateUnassignIpv6AddressesRequest, sdkecs.CreateUnassignIpv6AddressesResponse),
	"TagResources":                      sdk2(sdkecs.CreateTagResourcesRequest, sdkecs.CreateTagResourcesResponse),
	"UntagResources":                    sdk2(sdkecs.CreateUntagResourcesRequest, sdkecs.CreateUntagResourcesResponse),
	"ListTagResources":                  sdk2(sdkecs.CreateListTagResourcesRequest, sdkecs.CreateListTagResourcesResponse),
	"DescribeInstances":                 sdk2(sdkecs.CreateDescribeInstancesRequest, sdkecs.CreateDescribeInstancesResponse),
	"DescribeInstanceTypes":             sdk2(sdkecs.CreateDescribeInstanceTypesRequest, sdkecs.CreateDescribeInstanceTypesResponse),
	"DescribeSecurityGroups":            sdk2(sdkecs.CreateDescribeSecurityGroupsRequest, sdkecs.CreateDescribeSecurityGroupsResponse),
	"DescribeVpcs":                      sdk2(sdkvpc.CreateDescribeVpcsRequest, sdkvpc.CreateDescribeVpcsResponse),
	"DescribeVSwitches":                 sdk2(sdkvpc.CreateDescribeVSwitchesRequest, sdkvpc.CreateDescribeVSwitchesResponse),
	"AllocateEipAddress":                sdk2(sdkvpc.CreateAllocateEipAddressRequest, sdkvpc.CreateAllocateEipAddressResponse),
	"AssociateEipAddress":               sdk2(sdkvpc.CreateAssociateEipAddressRequest, sdkvpc.CreateAssociateEipAddressResponse),
	"UnassociateEipAddress":             sdk2(sdkvpc.CreateUnassociateEipAddressRequest, sdkvpc.CreateUnassociateEipAddressResponse),
	"ReleaseEipAddress":                 sdk2(sdkvpc.CreateReleaseEipAddressRequest, sdkvpc.CreateReleaseEipAddressResponse),
	"DescribeEipAddresses":              sdk2(sdkvpc.CreateDescribeEipAddressesRequest, sdkvpc.CreateDescribeEipAddressesResponse),
	"CreateHaVip":                       sdk2(sdkvpc.CreateCreateHaVipRequest, sdkvpc.CreateCreateHaVipResponse),
	"DeleteHaVip":                       sdk2(sdkvpc.CreateDeleteHaVipRequest, sdkvpc.CreateDeleteHaVipResponse),
	"AssociateHaVip":                    sdk2(sdkvpc.CreateAssociateHaVipRequest, sdkvpc.CreateAssociateHaVipResponse),
	"UnassociateHaVip":                  sdk2(sdkvpc.CreateUnassociateHaVipRequest, sdkvpc.CreateUnassociateHaVipResponse),
	"DescribeHaVips":                    sdk2(sdkvpc.CreateDescribeHaVipsRequest, sdkvpc.CreateDescribeHaVipsResponse),
}

// sdkParameters are the names of a request's parameters, by the field's.
func sdkParameters(action string) map[string]string {
	names := map[string]string{}
	t := reflect.TypeOf(sdkCalls[action].request()).Elem()
	for i := range t.NumField() {
		if name := t.Field(i).Tag.Get("name"); name != "" {
			name, _, _ = strings.Cut(name, ".") // Filter.1.Key
			names[name] = t.Field(i).Name
		}
	}
	return names
}

// ownParameters are those that the face reads.
func ownParameters(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		f := t.Field(i)
		if name, _, _ := strings.Cut(f.Tag.Get("query"), ","); name != "" {
			names = append(names, name)
		} else if f.Anonymous {
			names = append(names, ownParameters(f.Type)...)
		}
	}
	return names
}

// choosing are parameters that the SDK has and the face refuses: they would choose among
// things, and a listing that did not heed them would be wrong.
var choosing = map[string]string{
	"DescribeNetworkInterfaceAttribute": "Tag",
	"ListTagResources":                  "TagFilter",
	"DescribeInstances": `DeviceAvailable EipAddresses Filter HpcClusterId HttpEndpoint HttpPutResponseHopLimit HttpTokens ImageId
		InnerIpAddresses InstanceChargeType InstanceNetworkType InstanceTypeFamily InternetChargeType IoOptimized Ipv6Address KeyPairName
		LockReason NeedSaleCycle PrivateIpAddresses PublicIpAddresses RdmaIpAddresses ResourceGroupId SecurityGroupId`,
	"DescribeInstanceTypes": `CpuArchitecture CpuArchitectures GPUSpec GpuSpecs InstanceCategories InstanceCategory InstanceFamilyLevel
		InstanceTypeFamilies InstanceTypeFamily LocalStorageCategories LocalStorageCategory MaximumCpuCoreCount MaximumCpuSpeedFrequency
		MaximumCpuTurboFrequency MaximumGPUAmount MaximumMemorySize MinimumBaselineCredit MinimumCpuCoreCount MinimumCpuSpeedFrequency
		MinimumCpuTurboFrequency MinimumDiskQuantity MinimumEniIpv6AddressQuantity MinimumEniPrivateIpAddressQuantity MinimumEniQuantity
		MinimumEriQuantity MinimumGPUAmount MinimumInitialCredit MinimumInstanceBandwidthRx MinimumInstanceBandwidthTx
		MinimumInstancePpsRx MinimumInstancePpsTx MinimumLocalStorageAmount MinimumLocalStorageCapacity MinimumMemorySize
		MinimumPrimaryEniQueueNumber MinimumQueuePairNumber MinimumSecondaryEniQueueNumber NvmeSupport PhysicalProcessorModel
		PhysicalProcessorModels SupportHotModify`,
	"DescribeSecurityGroups": "FuzzyQuery IsQueryEcsCount NetworkType ResourceGroupId SecurityGroupType ServiceManaged",
	"DescribeVpcs":           "AdvancedFeature DhcpOptionsSetId EnableIpv6 IsDefault ResourceGroupId VpcName VpcOwnerId",
	"DescribeVSwitches":      "EnableIpv6 IsDefault ResourceGroupId RouteTableId VSwitchName VSwitchOwnerId",
	"AllocateEipAddress":     "InstanceId IpAddress",
	"DescribeEipAddresses": `BandwidthPackageId ChargeType DryRun Filter ISP IncludeReservationData LockReason
		PublicIpAddressPoolId ResourceGroupId SecurityProtectionEnabled SegmentInstanceId ServiceManaged`,
}

// The face reads no parameter that the SDK does not send, and of those that it sends each
// is read, ignored for a reason, or refused.
func TestParametersAreTheSDKs(t *testing.T) {
	t.Parallel()
	for action, a := range actions() {
		if sdkCalls[action].request == nil {
			t.Errorf("%s is driven by no SDK", action)
			continue
		}
		request, _ := a.decode(&query.Tree{}) // of which all is missing
		theirs, ours := sdkParameters(action), ownParameters(reflect.TypeOf(request).Elem())
		for _, name := range ours {
			if theirs[name] == "" {
				t.Errorf("%s: the SDK sends no %s", action, name)
			}
		}
		left := slices.Concat(ours, common, slices.Collect(maps.Keys(ignored[action])), strings.Fields(choosing[action]))
		for name := range theirs {
			if !slices.Contains(left, name) {
				t.Errorf("%s: %s is neither read nor ignored", action, name)
			}
		}
		for name := range ignored[action] {
			if theirs[name] == "" && action != "ModifyNetworkInterfaceAttribute" {
				t.Errorf("%s: ignored is %s, which the SDK does not send", action, name)
			}
		}
	}
}

// An inside is the face behind the SDK's client, without a wire, and with an eye on what
// comes.
type inside struct {
	*world
	client *sdk.Client
	body   []byte
}

func (in *inside) RoundTrip(r *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	in.face.ServeHTTP(recorder, r)
	got := recorder.Result()
	in.body = recorder.Body.Bytes()
	got.Body = io.NopCloser(bytes.NewReader(in.body))
	return got, nil
}

func newInside(t *testing.T, o cloudsim.Options) *inside {
	t.Helper()
	in := &inside{world: newWorld(t, o)}
	client, err := sdk.NewClientWithOptions("cn-hangzhou", sdk.NewConfig(), credentials.NewAccessKeyCredential("test", "s3cret"))
	if err != nil {
		t.Fatal(err)
	}
	client.SetTransport(in)
	client.Domain = "ecs.test"
	in.client = client
	return in
}

// by sets a request's fields: pairs are parameters, and values of their fields' types, or
// texts for numbers and booleans, or a list of texts.
func (in *inside) by(action string, pairs ...any) (responses.AcsResponse, error) {
	in.Helper()
	request, answer := sdkCalls[action].request(), sdkCalls[action].answer()
	v := reflect.ValueOf(request).Elem()
	for i := 0; i < len(pairs); i += 2 {
		field := v.FieldByName(sdkParameters(action)[pairs[i].(string)])
		if !field.IsValid() {
			in.Fatalf("%s has no %v", action, pairs[i])
		}
		switch value := reflect.ValueOf(pairs[i+1]); {
		case value.Kind() == reflect.String:
			field.SetString(value.String())
		case field.Kind() == reflect.Pointer && value.Kind() != reflect.Pointer:
			p := reflect.New(value.Type())
			p.Elem().Set(value)
			field.Set(p)
		default:
			field.Set(value)
		}
	}
	return answer, in.client.DoAction(request, answer)
}

// do makes a call that must succeed, and of whose answer the SDK reads everything.
func (in *inside) do(action string, pairs ...any) responses.AcsResponse {
	in.Helper()
	answer, err := in.by(action, pairs...)
	if err != nil {
		in.Fatalf("%s %v: %v", action, pairs, err)
	}
	var document any
	if err := json.Unmarshal(in.body, &document); err != nil {
		in.Fatal(err)
	}
	for _, path := range unread(document, reflect.TypeOf(answer).Elem()) {
		in.Errorf("%s: the SDK reads no %s", action, path)
	}
	return answer
}

// unread are the elements of a document that a type has no field for, in their exact case.
func unread(document any, t reflect.Type) []string {
	var paths []string
	switch v := document.(type) {
	case map[string]any:
		if t.Kind() != reflect.Struct {
			return []string{"object"}
		}
		fields := map[string]reflect.Type{}
		for i := range t.NumField() {
			fields[t.Field(i).Tag.Get("json")] = t.Field(i).Type
		}
		for name, value := range v {
			if fields[name] == nil {
				paths = append(paths, name)
				continue
			}
			for _, path := range unread(value, fields[name]) {
				paths = append(paths, name+"."+path)
			}
		}
	case []any:
		if t.Kind() != reflect.Slice {
			return []string{"list"}
		}
		for n, value := range v {
			for _, path := range unread(value, t.Elem()) {
				paths = append(paths, fmt.Sprintf("%d.%s", n, path))
			}
		}
	}
	return paths
}

// codeOf is what the SDK says that a call was refused with.
func codeOf(err error) string {
	if e, ok := err.(*errors.ServerError); ok { //nolint:errorlint // the SDK wraps nothing
		return e.ErrorCode()
	}
	return fmt.Sprint(err)
}
