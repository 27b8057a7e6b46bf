package callback

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/callback/internal/cloudcode"
	"example.com/callback/internal/engine"
	"example.com/callback/internal/testkit"
)

// carriedMembers are all the members that the contract promises, by the
// expression that gives their object, as "name" for a function and "name:type"
// for what else typeof says. The list is the contract's own words, not the
// library's.
var carriedMembers = map[string]string{
	"this": "Spark:object require requireOnce SparkRequests:object",
	"Spark": `getRequestMethod getRequestBytes parseXml getData data:object setScriptData getScriptData removeScriptData removeAllScriptData
		setScriptError getScriptError removeScriptError removeAllScriptErrors hasScriptErrors
		getLog getHttp getDigester exit getRemainingMilliseconds currentStack getCredentialType
		getSessionId getClientIp getPlayer player:object`,
	"Spark.getPlayer()": "getPlayerId playerId:string",
	"Spark.player":      "getPlayerId playerId:string",
	"Spark.getLog()":    "debug info warn error getLevel setLevel",
	"Spark.getHttp('http://h.test/')": `setBasicAuth setHeaders get head delete postForm postJson postString postXml
		putForm putJson putString putXml patchForm patchJson patchString patchXml`,
	"Spark.getHttp('http://h.test/').get()":                  "getResponseCode getResponseString getResponseJson getResponseXml getHeaders getCookies",
	"Spark.getHttp('http://h.test/').get().getResponseXml()": "toString toXMLString",
	"Spark.getDigester()": `hmacMd5Hex hmacMd5Base64 hmacMd5HexWithHexKey hmacMd5Base64WithBase64Key hmacMd5Base64WithHexKey
		hmacMd5HexWithBase64Key hmacSha1Hex hmacSha1Base64 hmacSha1HexWithHexKey hmacSha1Base64WithBase64Key
		hmacSha1Base64WithHexKey hmacSha1HexWithBase64Key hmacSha256Hex hmacSha256Base64 hmacSha256HexWithHexKey
		hmacSha256Base64WithBase64Key hmacSha256Base64WithHexKey hmacSha256HexWithBase64Key hmacSha384Hex
		hmacSha384Base64 hmacSha384HexWithHexKey hmacSha384Base64WithBase64Key hmacSha384Base64WithHexKey
		hmacSha384HexWithBase64Key hmacSha512Hex hmacSha512Base64 hmacSha512HexWithHexKey
		hmacSha512Base64WithBase64Key hmacSha512Base64WithHexKey hmacSha512HexWithBase64Key md2Hex md2Base64 md5Hex
		md5Base64 sha1Hex sha1Base64 sha256Hex sha256Base64 sha384Hex sha384Base64 sha512Hex sha512Base64`,
}

// runSource runs a script for a player, with an upstream that answers <a/>, and
// gives what it has set as r.
func runSource(t *testing.T, source string, r any) {
	t.Helper()
	runner := &GojaRunner{Scripts: testkit.Tree(map[string]string{"callbacks/x.js": source})}
	result, err := runner.RunScript(t.Context(), &Call{Credential: "x", PlayerID: "p1", HTTP: fakeUpstream()})
	require.NoError(t, err, source)
	require.Len(t, result.Data, 1)
	require.NoError(t, json.Unmarshal(result.Data[0].Value, r))
}

func TestEveryMemberIsCarried(t *testing.T) {
	t.Parallel()
	for object, list := range carriedMembers {
		want := map[string]string{}
		var script strings.Builder
		script.WriteString("var types = {}, o = " + object + ";\n")
		for _, member := range strings.Fields(list) {
			name, kind, ok := strings.Cut(member, ":")
			if !ok {
				kind = "function"
			}
			want[name] = kind
			script.WriteString("types." + name + " = typeof o." + name + ";\n")
		}
		script.WriteString("Spark.setScriptData('types', types);")
		var got map[string]string
		runSource(t, script.String(), &got)
		require.Equal(t, want, got, object)
	}
}

// A for-in loop over an object shows the documented members, and no others.
func TestNoMemberBesides(t *testing.T) {
	t.Parallel()
	for object, list := range carriedMembers {
		if object == "this" || strings.HasSuffix(object, "getResponseXml()") {
			continue
		}
		var got []string
		runSource(t, "var names = []; for (var name in "+object+") names.push(name);\nSpark.setScriptData('names', names);", &got)
		var want []string
		for _, member := range strings.Fields(list) {
			name, _, _ := strings.Cut(member, ":")
			want = append(want, name)
		}
		require.ElementsMatch(t, want, got, object)
	}
}

// A documented member that the library does not have throws an error that says so,
// and never "is not a function".
func TestDocumentedMembersSayThatAHostCanSupplyThem(t *testing.T) {
	t.Parallel()
	for class, object := range map[string]string{"Spark": "Spark", "SparkPlayer": "Spark.getPlayer()"} {
		names := cloudcode.Members(class)
		require.NotEmpty(t, names)
		var got map[string]string
		runSource(t, `var said = {}, o = `+object+`;
			`+string(mustJSON(names))+`.forEach(function (name) {
				try { o[name](1); said[name] = "returned" } catch (e) { said[name] = e.constructor.name + ": " + e.message }
			});
			Spark.setScriptData("said", said);`, &got)
		for _, name := range names {
			require.Equal(t, "Error: "+class+"."+name+" is not supplied: the host of these scripts can supply it", got[name])
		}
	}
	var got string
	runSource(t, "Spark.setScriptData('t', typeof Spark.abracadabra)", &got)
	require.Equal(t, "undefined", got)
}

func mustJSON(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

func TestDocumentedLists(t *testing.T) {
	t.Parallel()
	classes := cloudcode.Classes()
	require.Len(t, slices.Compact(slices.Sorted(slices.Values(classes))), len(classes))
	for _, class := range classes {
		names := cloudcode.Members(class)
		require.NotEmpty(t, names, class)
		require.True(t, slices.IsSorted(names), class)
		require.Len(t, slices.Compact(names), len(names), class)
		for _, name := range names {
			require.True(t, cloudcode.IsName(name), name)
			require.False(t, slices.Contains(engine.Carried(class), name), "%s carries %s", class, name)
		}
	}
	for _, class := range []string{"", "Other", "SparkHttp", "SparkHttpResponse", "SparkLog", "SparkDigest"} {
		require.Empty(t, cloudcode.Members(class))
	}
	// The members that real scripts use most are among those that are known.
	for _, name := range strings.Fields("runtimeCollection loadPlayer getGameDataService metaCollection getChallenge sendRequest " +
		"getScheduler getCache getConfig getRedis getProperties getLeaderboards getTeams systemCollection") {
		require.True(t, cloudcode.Has("Spark", name), name)
	}
}
