#!/usr/bin/env bash
# Puts Apache Kafka's jars into .tools/kafka/libs, for the tests: `kafka.sh [VERSION FOLDER]` another version into another
# folder. Does nothing when they are there.
# Start it with: java -cp '.tools/kafka/libs/*' kafka.Kafka server.properties
set -euo pipefail
version=${1:-4.4.0} # the newest whose broker runs on Java 17
java=17
folder=${2:-.tools/kafka}
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

fail() {
    printf 'kafka.sh: %s\nhint: %s\n' "$1" "$2" >&2
    exit 1
}

if [[ -f "$folder/libs/kafka_2.13-$version.jar" ]]; then
    exit 0
fi
for program in java mvn; do
    command -v "$program" >/dev/null ||
        fail "$program is missing" "install Java $java or newer and Maven, such as by: apt-get install openjdk-$java-jre-headless maven"
done
found=$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1)
((${found:-0} >= java)) || fail "java is version ${found:-unknown}" "Kafka $version needs Java $java or newer"

mkdir -p .tools "$(dirname "$folder")"
partial=$(mktemp -d .tools/kafka.XXXXXX)
trap 'rm -rf "$partial"' EXIT
chmod 755 "$partial"
cat >"$partial/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>hookbus</groupId>
  <artifactId>kafka-for-tests</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>$version</version>
    </dependency>
    <!-- Kafka logs through slf4j and brings no binding; this one writes to standard error. -->
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-simple</artifactId>
      <version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
POM
echo "Apache Kafka $version: downloading" >&2
mvn --batch-mode --quiet -Dstyle.color=never --file "$partial/pom.xml" \
    org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory=libs >&2 ||
    fail "Maven could not get Kafka $version" "check the network and Maven's settings, then run it again"
rm -rf "$folder"
mv "$partial" "$folder"
