"""Sentences to make responses of: plain ones, ones that are hard to cut into words and sentences, and other languages."""

from __future__ import annotations

import random

_COMMON = (
    "the river runs slowly past an old mill where nobody works now and children come to watch birds in spring "
    "while their parents sit under tall trees drinking tea from small cups with friends who tell long stories about the sea"
)
COMMON = _COMMON.split()
HARD = (
    "Dr. Smith met Mrs. J. R. Green at 5 p.m. in St. Louis.", "It costs $3.50 (or 2,000 yen), i.e. very little.",
    'He asked: "Really?!" and left.', "Wait... what was that?", "The U.S. Army, NASA & the A.C.M. agreed--at last.",
    "Visit www.example.com/a?b=1 or mail me@example.org!", "See Fig. 3, No. 7 and pp. 10-12, etc. and so on.",
    "1. First of all:", "* a bullet", "- another *bold* one", "**Section 2** ends here",
    "Don't, won't, I'm, you'll, IT'S, CAN'T.",
    "[name] and <<title>>", "“Quoted,” she said – and ‘this’ too.", "Well-known X-RAY machines, Ph.D. students; O'NEIL's.",
    "P.S. Not now. p.p.s. never", "Yes! No? Maybe.", "\n\n", "\n***\n", "```\ncode, too\n```", "(It ended.) It began again.",
)  # fmt: skip
LANGUAGES = {
    "ar": "ذهبت اليوم إلى السوق واشتريت الخبز والفاكهة ثم عدت إلى البيت مع أصدقائي.",
    "bg": "Днес отидох на пазара, купих хляб и плодове и след това се върнах вкъщи с приятелите си.",
    "bn": "আজ আমি বাজারে গিয়ে রুটি ও ফল কিনলাম এবং তারপর বন্ধুদের সাথে বাড়ি ফিরলাম।",
    "de": "Heute bin ich auf den Markt gegangen, habe Brot und Obst gekauft und kam mit meinen Freunden nach Hause.",
    "en": "Today I went to the market, bought some bread and fruit and then came home with my friends.",
    "es": "Hoy fui al mercado, compré pan y fruta y después volví a casa con mis amigos.",
    "fa": "امروز به بازار رفتم، نان و میوه خریدم و سپس با دوستانم به خانه برگشتم.",
    "fi": "Tänään kävin torilla, ostin leipää ja hedelmiä ja palasin sitten kotiin ystävieni kanssa.",
    "fr": "Aujourd'hui je suis allé au marché, j'ai acheté du pain et des fruits puis je suis rentré avec mes amis.",
    "gu": "આજે હું બજારમાં ગયો, રોટલી અને ફળ ખરીદ્યાં અને પછી મિત્રો સાથે ઘરે પાછો આવ્યો.",
    "hi": "आज मैं बाज़ार गया, रोटी और फल खरीदे और फिर अपने दोस्तों के साथ घर लौट आया।",
    "it": "Oggi sono andato al mercato, ho comprato pane e frutta e poi sono tornato a casa con i miei amici.",
    "kn": "ಇಂದು ನಾನು ಮಾರುಕಟ್ಟೆಗೆ ಹೋಗಿ ರೊಟ್ಟಿ ಮತ್ತು ಹಣ್ಣುಗಳನ್ನು ಖರೀದಿಸಿ ಸ್ನೇಹಿತರೊಂದಿಗೆ ಮನೆಗೆ ಮರಳಿದೆ.",
    "ko": "오늘 나는 시장에 가서 빵과 과일을 사고 친구들과 함께 집으로 돌아왔다.",
    "mr": "आज मी बाजारात गेलो, भाकरी आणि फळे विकत घेतली आणि नंतर मित्रांसोबत घरी परत आलो आहे.",
    "ne": "आज म बजार गएँ, रोटी र फलफूल किनें अनि त्यसपछि साथीहरूसँग घर फर्किएँ।",
    "pa": "ਅੱਜ ਮੈਂ ਬਾਜ਼ਾਰ ਗਿਆ, ਰੋਟੀ ਅਤੇ ਫਲ ਖਰੀਦੇ ਅਤੇ ਫਿਰ ਦੋਸਤਾਂ ਨਾਲ ਘਰ ਵਾਪਸ ਆਇਆ।",
    "pt": "Hoje fui ao mercado, comprei pão e frutas e depois voltei para casa com os meus amigos.",
    "ru": "Сегодня я пошёл на рынок, купил хлеб и фрукты, а потом вернулся домой с друзьями.",
    "sw": "Leo nilikwenda sokoni, nikanunua mkate na matunda kisha nikarudi nyumbani pamoja na rafiki zangu.",
    "ta": "இன்று நான் சந்தைக்குச் சென்று ரொட்டியும் பழங்களும் வாங்கி நண்பர்களுடன் வீடு திரும்பினேன்.",
    "te": "ఈ రోజు నేను మార్కెట్‌కు వెళ్లి రొట్టె మరియు పండ్లు కొని స్నేహితులతో ఇంటికి తిరిగి వచ్చాను.",
    "th": "วันนี้ฉันไปตลาดซื้อขนมปังและผลไม้แล้วกลับบ้านกับเพื่อน",
    "ur": "آج میں بازار گیا، روٹی اور پھل خریدے اور پھر اپنے دوستوں کے ساتھ گھر واپس آیا ہوں۔",
    "vi": "Hôm nay tôi đi chợ, mua bánh mì và trái cây rồi trở về nhà cùng với bạn bè của tôi.",
}  # fmt: skip


def sentence(rng: random.Random, length: int | None = None) -> str:
    chosen = [rng.choice(COMMON) for _ in range(length or rng.randint(4, 11))]
    return " ".join(chosen).capitalize() + "."


def sentences(rng: random.Random, count: int) -> str:
    return " ".join(sentence(rng) for _ in range(count))


def body(rng: random.Random) -> str:
    return sentences(rng, rng.randint(2, 6))


def noise(rng: random.Random) -> str:
    """Anything a model may write: abbreviations, marks, Markdown, other scripts."""
    pieces = [rng.choice((rng.choice(HARD), sentence(rng), sentence(rng).upper())) for _ in range(rng.randint(1, 12))]
    if rng.random() < 0.2:
        pieces.append(rng.choice(list(LANGUAGES.values())))
    return "".join(piece + rng.choice((" ", " ", "\n", "\n\n")) for piece in pieces)
