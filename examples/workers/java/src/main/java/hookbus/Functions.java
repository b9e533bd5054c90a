package hookbus;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/** What this worker can do. Put your own functions here. */
final class Functions {
    /** Gets the arguments, and returns text or anything that Jackson writes. It is interrupted when the caller gives up. */
    interface Function {
        Object answer(JsonNode arguments) throws Exception;
    }

    /** The caller is told this sentence. The model reads it, so say what to do better. */
    static final class Refused extends Exception {
        final int code;

        Refused(String sentence, int code) {
            super(sentence);
            this.code = code;
        }

        Refused(String sentence) {
            this(sentence, 400);
        }
    }

    static final Map<String, Function> ALL = Map.of(
            "get_weather", Functions::getWeather,
            "add", Functions::add,
            "echo", Functions::echo,
            "wait", Functions::pause,
            "fail", Functions::fail);

    private static Object getWeather(JsonNode arguments) throws Refused {
        JsonNode city = arguments.path("city");
        if (!city.isTextual() || city.textValue().isBlank()) {
            throw new Refused("city must be the name of a city, such as Oslo");
        }
        return Map.of("city", city.textValue(), "celsius", 21, "sky", "clear");
    }

    private static Object add(JsonNode arguments) throws Refused {
        JsonNode a = arguments.path("a");
        JsonNode b = arguments.path("b");
        if (!a.isNumber() || !b.isNumber()) {
            throw new Refused("a and b must be numbers");
        }
        double sum = a.doubleValue() + b.doubleValue();
        if (!Double.isFinite(sum)) {
            throw new Refused("the sum is too large");
        }
        return sum == Math.rint(sum) && Math.abs(sum) < 1e18 ? Long.toString((long) sum) : Double.toString(sum);
    }

    private static Object echo(JsonNode arguments) throws Refused {
        JsonNode text = arguments.path("text");
        if (!text.isTextual() || text.textValue().isEmpty()) {
            throw new Refused("text must be a text that is not empty");
        }
        long repeat = whole(arguments, "repeat", 1, 1000, 1);
        if (text.textValue().getBytes(StandardCharsets.UTF_8).length * repeat > 1_000_000) {
            throw new Refused("the answer would be longer than 1,000,000 bytes");
        }
        return text.textValue().repeat((int) repeat);
    }

    private static Object pause(JsonNode arguments) throws Exception {
        // A database, another service: what waits in a thread of its own holds up no other.
        Thread.sleep(whole(arguments, "milliseconds", 0, 60_000, -1));
        return "waited";
    }

    private static Object fail(JsonNode arguments) throws Refused {
        throw new Refused("the function failed on purpose", 500);
    }

    private static long whole(JsonNode arguments, String name, long least, long most, long unset) throws Refused {
        JsonNode given = arguments.path(name);
        long value = given.isIntegralNumber() && given.canConvertToLong() ? given.longValue() : least - 1;
        if (given.isMissingNode()) {
            value = unset;
        }
        if (value < least || value > most) {
            throw new Refused(name + " must be a whole number from " + least + " to " + most);
        }
        return value;
    }

    private Functions() {}
}
